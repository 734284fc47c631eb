package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/actor"
	"github.com/martinelli-go/martinelli/actor/certtest"
	"github.com/martinelli-go/martinelli/cluster"
	"github.com/martinelli-go/martinelli/cluster/silo"
	"github.com/martinelli-go/martinelli/grains"
	"github.com/martinelli-go/martinelli/integration/bank"
	"github.com/martinelli-go/martinelli/txn"
)

// A process can have one node over TCP under the race detector (see package actor), so each silo, and
// each client but one, is a child: this test binary, told by secureEnv what to be.
const secureEnv = "MARTINELLI_SECURE_CHILD"

type secureChild struct {
	Client       bool
	Listen, Join string
	Secret       string
	TLS          actor.TLS
}

// TestSecureChild is not a test: it is what children run.
func TestSecureChild(t *testing.T) {
	told := os.Getenv(secureEnv)
	if told == "" {
		t.Skip("only for children of other tests")
	}
	var c secureChild
	require.NoError(t, json.Unmarshal([]byte(told), &c))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := c.run(ctx)
	fmt.Printf("\nchild foreign=%v %v\n", errors.As(err, new(*actor.Foreign)), err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func (c secureChild) run(ctx context.Context) error {
	if c.Client {
		_, err := cluster.Connect(ctx, cluster.Config{Silos: c.Join, Grains: bank.Shared(), TLS: c.TLS})
		return err
	}
	_, err := silo.Start(ctx, silo.Config{
		Grains: bank.Grains(), Listen: c.Listen, Join: c.Join, TLS: c.TLS, Secret: c.Secret,
		Authorize: func(_ context.Context, call grains.Call) error {
			if call.Principal != "alice" {
				return errors.New("only alice may")
			}
			if call.Grain.Key() == "forbidden" || call.Variable.Key() == "forbidden" {
				return errors.New("not that one")
			}
			return nil
		},
	})
	return err
}

// become starts a child and returns what it said: "foreign=false <nil>" when it runs.
func (c secureChild) become(t *testing.T) <-chan string {
	t.Helper()
	told, err := json.Marshal(c)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestSecureChild$")
	cmd.Env = append(os.Environ(), secureEnv+"="+string(told))
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	said := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "child "); ok {
				said <- text
				return
			}
		}
		said <- "ended without a word"
	}()
	return said
}

// twoPorts are free, one after the other.
func twoPorts(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = l.Close()
		if err == nil {
			_ = next.Close()
			return l.Addr().String()
		}
	}
	require.Fail(t, "no two ports")
	return ""
}

// Two silos with certificates and a secret, a client, and those who must stay outside.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	ctx := within(t, 90*time.Second)
	ours, err := certtest.New(t.TempDir())
	require.NoError(t, err)
	theirs, err := certtest.New(t.TempDir())
	require.NoError(t, err)
	files := func(a *certtest.Authority, name string, dns ...string) actor.TLS {
		cert, key, err := a.Issue(name, dns...)
		require.NoError(t, err)
		return actor.TLS{Cert: cert, Key: key, CA: a.File}
	}
	silo1, silo2 := twoPorts(t), twoPorts(t)
	join := silo1 + "," + silo2
	first := secureChild{Listen: silo1, Join: join, Secret: "s", TLS: files(ours, "silo-1", actor.DefaultSiloName)}.become(t)
	second := secureChild{Listen: silo2, Join: join, Secret: "s", TLS: files(ours, "silo-2", actor.DefaultSiloName)}.become(t)
	require.Equal(t, "foreign=false <nil>", <-first)
	require.Equal(t, "foreign=false <nil>", <-second)

	// They stay outside.
	third := func(secret string, files actor.TLS) <-chan string {
		at := twoPorts(t)
		return secureChild{Listen: at, Join: join + "," + at, Secret: secret, TLS: files}.become(t)
	}
	outside := map[string]<-chan string{
		"another secret":            third("t", files(ours, "silo-3", actor.DefaultSiloName)),
		"a client's certificate":    third("s", files(ours, "bob")),
		"another's certificate":     third("s", files(theirs, "silo-3", actor.DefaultSiloName)),
		"no certificate":            third("s", actor.TLS{}),
		"a client of another's":     secureChild{Client: true, Join: join, TLS: files(theirs, "alice")}.become(t),
		"a client, no certificates": secureChild{Client: true, Join: join}.become(t),
	}
	for who, said := range outside {
		require.Regexp(t, "^foreign=true", <-said, who)
	}
	_, port, err := net.SplitHostPort(silo1)
	require.NoError(t, err)
	var n int
	_, err = fmt.Sscan(port, &n)
	require.NoError(t, err)
	raw, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", n+1)) // the log's port
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.Write([]byte("martinelli-raft\x01\x10" + strings.Repeat("x", 64)))
	require.NoError(t, err)
	require.NoError(t, raw.SetReadDeadline(time.Now().Add(10*time.Second)))
	b, err := io.ReadAll(raw)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the log's port talks to strangers: %q", b)
	require.NotContains(t, []string{"\x01", "\x02"}, string(b), "the log answered in the plain")

	// Alice is inside.
	c, err := cluster.Connect(ctx, cluster.Config{Silos: join, Grains: bank.Shared(), TLS: files(ours, "alice")})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	for _, id := range []bank.AccountID{"a", "b", "c", "d"} { // on both silos
		balance, err := bank.GetAccount(c, id).Deposit(ctx, 10)
		require.NoError(t, err)
		require.EqualValues(t, 10, balance)
		require.NoError(t, bank.Journal.At(c, id).Add(ctx, "by alice"))
	}
	denied := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, grains.ErrDenied)
		require.NotErrorIs(t, err, grains.ErrNotExecuted) // it must not invite to try again
		require.ErrorContains(t, err, "not that one")
	}
	_, err = bank.GetAccount(c, "forbidden").Deposit(ctx, 10)
	denied(err)
	require.ErrorContains(t, err, "alice calling bank.Account/forbidden.Deposit")
	err = bank.Journal.At(c, "forbidden").Add(ctx, "x")
	denied(err)
	denied(txn.Atomic(ctx, c, func(ctx context.Context) error { return bank.Journal.At(c, "forbidden").Add(ctx, "x") }))
	denied(txn.Atomic(ctx, c, func(ctx context.Context) error {
		_, err := bank.GetAccount(c, "forbidden").Deposit(ctx, 1)
		return err
	}))
	written, err := bank.Journal.At(c, "forbidden").Len(ctx)
	require.NoError(t, err)
	require.Zero(t, written)
	// What grains do among themselves is not asked about; blocks of hers that touch what she may go through.
	_, err = bank.GetAccount(c, "a").Transfer(ctx, "forbidden", 5, "note")
	require.NoError(t, err)
	require.NoError(t, txn.Atomic(ctx, c, func(ctx context.Context) error {
		if _, err := bank.GetAccount(c, "b").Deposit(ctx, 5); err != nil {
			return err
		}
		return bank.Journal.At(c, "b").Add(ctx, "in a block")
	}))
}
