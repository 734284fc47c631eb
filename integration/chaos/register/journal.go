package register

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is what a turn does.
type Kind string

// The kinds.
const (
	Read          Kind = "read"
	Write         Kind = "write"
	CompareAndSet Kind = "cas"
	Touch         Kind = "touch" // outside of any atomic block
	Relay         Kind = "relay" // the same, and lets another register take
	Take          Kind = "take"  // for a register that relays
)

// Turn is one entry of the journal: a turn that has ended.
type Turn struct {
	Key  Key  `json:"key"`
	Op   Op   `json:"op"`
	Kind Kind `json:"kind"`
	Life
	From  Key   `json:"from,omitempty"` // of a Take: which register has relayed it
	Of    Life  `json:"of,omitzero"`    // and by which activation
	Start int64 `json:"start"`          // in nanoseconds, by Now
	End   int64 `json:"end"`
	Seq   int64 `json:"seq,omitempty"` // of the state that it read or wrote
	Wrote bool  `json:"wrote,omitempty"`
	// Effective: the turn returned no error, and was no part of its caller's block, which decides later; what
	// it did is committed. Whether somebody took a plain turn's answer is for the history to say.
	Effective bool `json:"effective"`
}

// Now is the machine's clock, which all its processes share, in nanoseconds.
func Now() int64 { return time.Now().UnixNano() }

// Journal is where the registers of one run of one silo note their turns: a file that is only appended to.
// An entry is handed to the system before the turn answers, so that the death of the process loses none
// that had an effect. Its methods may be called from any goroutine; those of a nil Journal do nothing.
type Journal struct {
	silo, run   int64
	activations atomic.Int64
	// Middle, if there is one, runs in the middle of each turn. Set it before the first.
	Middle func(Kind)
	// Failed is told that an entry could not be written: the journal is worth nothing from then on.
	Failed func(error)

	mu   sync.Mutex
	file *os.File
}

// Create makes the journal of a run in a new file.
func Create(file string, silo, run int64) (*Journal, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the journal of silo %d: %w", silo, err)
	}
	return &Journal{silo: silo, run: run, file: f, Failed: func(err error) { panic(err) }}, nil
}

// Close closes the file. Turns that end later fail.
func (j *Journal) Close() error { return j.file.Close() }

func (j *Journal) activated() Life {
	if j == nil {
		return Life{}
	}
	return Life{Silo: j.silo, Run: j.run, Activation: j.activations.Add(1)}
}

func (j *Journal) middle(kind Kind) {
	if j != nil && j.Middle != nil {
		j.Middle(kind)
	}
}

func (j *Journal) note(t Turn) {
	if j == nil {
		return
	}
	line, err := json.Marshal(t)
	if err == nil {
		j.mu.Lock()
		_, err = j.file.Write(append(line, '\n'))
		j.mu.Unlock()
	}
	if err != nil {
		j.Failed(fmt.Errorf("the journal of silo %d: %w", j.silo, err))
	}
}

// Turns reads a journal. A last line that a death has torn is left out.
func Turns(file string) ([]Turn, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Turn
	for in := bufio.NewReader(f); ; {
		line, err := in.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		var t Turn
		if err := json.Unmarshal(line, &t); err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", file, len(all)+1, err)
		}
		all = append(all, t)
	}
}
