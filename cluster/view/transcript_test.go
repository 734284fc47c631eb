package view

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/grains/wire"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts in testdata anew")

// A transcript is a text file: lines that begin with "> " are commands, what follows is what happened.
// See stage.do for the commands.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			got := play(t, string(want))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, got, 0o644))
				return
			}
			require.Equal(t, string(want), string(got))
		})
	}
}

func play(t *testing.T, script string) []byte {
	s := &stage{t: t, now: time.Second, registry: NewRegistry(), actors: map[string]*stageSilo{}}
	said := false
	for line := range strings.Lines(script) {
		command, is := strings.CutPrefix(strings.TrimSpace(line), "> ")
		switch {
		case is:
			fmt.Fprintf(&s.out, "> %s\n", command)
			s.do(strings.Fields(command))
			said = true
		case !said || strings.HasPrefix(line, "#"):
			s.out.WriteString(line)
		case strings.TrimSpace(line) == "":
			s.out.WriteString("\n")
		}
	}
	return s.out.Bytes()
}

// stage is a cluster without a network: what is asked arrives at once, unless it is cut off.
type stage struct {
	t        *testing.T
	out      bytes.Buffer
	now      time.Duration
	registry *Registry
	names    []string
	actors   map[string]*stageSilo
	lead     *Lead
	leader   string
	fence    Fence // of the storage
}

type stageSilo struct {
	name              string
	keeper            *Keeper
	run               Run
	cut, paused, busy bool
	missed            []Applied
	sealed            []Row
	grant             Grant
}

func (s *stage) sayf(format string, args ...any) {
	fmt.Fprintf(&s.out, "%6.2fs  ", s.now.Seconds())
	fmt.Fprintf(&s.out, format, args...)
	s.out.WriteByte('\n')
}

// do carries out one command.
func (s *stage) do(words []string) {
	a := s.actors[words[min(1, len(words)-1)]]
	switch words[0] {
	case "start": // name kinds…: a run of a silo
		s.start(words[1], words[2:])
	case "lead": // name: it leads the log, and its barrier is complete
		s.leader, s.lead = a.name, NewLead(LeadConfig{}, s.now, s.registry.Current())
	case "run": // duration: in steps of 50 ms
		d, err := time.ParseDuration(words[1])
		require.NoError(s.t, err)
		for end := s.now + d; s.now < end; {
			s.now += 50 * time.Millisecond
			s.tick()
		}
	case "cut": // name: the log and the leader are out of its reach
		a.cut = true
	case "heal":
		a.cut = false
		s.catchUp(a)
	case "pause": // name: its process stands still
		a.paused = true
	case "resume":
		a.paused = false
		s.catchUp(a)
	case "busy": // name: its turns do not finish
		a.busy = true
	case "idle":
		a.busy = false
		s.drain(a)
	case "stop": // name: it is asked to leave
		s.keep(a, Stop{})
	case "dead": // name name: the first votes that the second is dead
		s.leads(Vote{By: a.run, About: s.actors[words[2]].run, Dead: true})
	case "activate": // name id: an activation begins
		g, err := a.keeper.Standing().Activate(s.now, stageID(words[2]))
		if err == nil {
			a.grant = g
			err = s.fence.Admit(g) // it loads its state
		}
		s.answer(err, "%s activates %s under token %d", a.name, words[2], g.Token)
	case "forward": // name id: where a call goes on to that came to the wrong silo
		st := a.keeper.Standing()
		_, err := st.Activate(s.now, stageID(words[2]))
		to, ok := st.Forward(err, false)
		_, again := st.Forward(err, true)
		s.sayf("%s forwards to %q: %v; once more: %v", a.name, to.ID, ok, again)
	case "begin", "wait", "reply", "write": // name: the next step of the activation's turn
		s.step(words[0], a)
	case "slots": // who holds how many
		for _, m := range s.registry.Table().Living() {
			held, moving := s.registry.Table().Held(m.Run)
			s.sayf("%v %v holds %d, of which %d are to move", m.Run, m.State, held, moving)
		}
	default:
		s.t.Fatalf("no command %q", words[0])
	}
}

func stageID(text string) wire.ID {
	kind, key, _ := strings.Cut(text, "/")
	return wire.NewID(kind, key)
}

func (s *stage) answer(err error, format string, args ...any) {
	if err != nil {
		s.sayf("refused: %v", err)
		return
	}
	s.sayf(format, args...)
}

func (s *stage) step(what string, a *stageSilo) {
	st := a.keeper.Standing()
	var err error
	switch what {
	case "begin":
		err = st.Begin(s.now, a.grant)
	case "wait":
		err = st.Resume(s.now, a.grant)
	case "reply":
		err = st.Reply(s.now, a.grant)
	case "write":
		err = s.fence.Admit(a.grant)
	}
	s.answer(err, "%s: %s under token %d", a.name, what, a.grant.Token)
}

func (s *stage) start(name string, kinds []string) {
	old := s.actors[name]
	run := Run{SiloID(name), 1}
	if old != nil {
		run.Incarnation = old.run.Incarnation + 1
	} else {
		s.names = append(s.names, name)
	}
	k, err := NewKeeper(KeeperConfig{Member: Member{Run: run, Addr: name + ":7000", Kinds: kinds}, MaxSealed: Slots})
	require.NoError(s.t, err)
	a := &stageSilo{name: name, keeper: k, run: run}
	s.actors[name] = a
	s.keep(a, s.registry.Current())
	s.keep(a, Started{})
}

func (s *stage) tick() {
	for _, name := range s.names {
		if a := s.actors[name]; !a.paused {
			s.keep(a, Tick{})
		}
	}
	s.leads(Tick{})
}

func (s *stage) keep(a *stageSilo, in Input) {
	for _, e := range a.keeper.Step(s.now, in, nil) {
		switch e := e.(type) {
		case Ask:
			if !a.cut {
				s.leads(Asked(e))
			}
		case Serving:
			s.sayf("%s serves", a.name)
		case Gained:
			s.sayf("%s gained %d slots under token %d", a.name, len(e.Rows), e.Rows[0].Token)
		case Seal:
			s.sayf("%s seals %d slots for %v", a.name, len(e.Rows), e.Rows[0].Target)
			a.sealed = append(a.sealed, e.Rows...)
			s.drain(a)
		case Ended:
			s.sayf("%s has ended, removed: %v", a.name, e.Removed)
		}
	}
}

func (s *stage) drain(a *stageSilo) {
	if !a.busy && len(a.sealed) > 0 {
		rows := a.sealed
		a.sealed = nil
		s.keep(a, Drained{rows})
	}
}

func (s *stage) leads(in Input) {
	if s.lead == nil || s.actors[s.leader].paused {
		return
	}
	for _, e := range s.lead.Step(s.now, in, nil) {
		s.log(e.(Propose).Commands)
	}
}

// log commits an entry and brings it to all who can be reached.
func (s *stage) log(commands []Command) {
	a, err := s.registry.Apply(EncodeCommands(commands...))
	require.NoError(s.t, err)
	for i, c := range commands {
		if text := stageText(c); text != "" {
			s.sayf("log: %s: %v, view %d", text, a.Outcomes[i], a.Table.Number)
		}
	}
	s.leads(a)
	for _, name := range s.names {
		silo := s.actors[name]
		silo.missed = append(silo.missed, a)
		s.catchUp(silo)
	}
}

func (s *stage) catchUp(a *stageSilo) {
	for !a.cut && !a.paused && len(a.missed) > 0 {
		next := a.missed[0]
		a.missed = a.missed[1:]
		s.keep(a, next)
	}
}

func stageText(c Command) string {
	switch c := c.(type) {
	case Join:
		return fmt.Sprintf("join %v", c.Member.Run)
	case Ready:
		return fmt.Sprintf("ready %v", c.Run)
	case Leave:
		return fmt.Sprintf("leave %v", c.Run)
	case Left:
		return fmt.Sprintf("left %v", c.Run)
	case Remove:
		return fmt.Sprintf("remove %v", c.Run)
	case Release:
		tokens := map[uint64]bool{}
		for _, h := range c.Held {
			tokens[h.Token] = true
		}
		return fmt.Sprintf("release %v of %d slots held under %v", c.Run, len(c.Held), slices.Sorted(maps.Keys(tokens)))
	}
	return ""
}
