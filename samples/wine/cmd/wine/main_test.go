package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asMain makes the test binary the program, for the silos that a demonstration starts.
const asMain = "WINE_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Setenv(asMain, "1")
	os.Exit(m.Run())
}

// try runs the program in this process.
func try(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestWrongArgumentsAreExplained(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"--nosuch"}, []string{"flag provided but not defined: -nosuch", "usage: wine [flags]", "-purchases"}},
		{[]string{"silo", "--nosuch"}, []string{"flag provided but not defined: -nosuch", "usage: wine silo [flags]", "-listen"}},
		{[]string{"taste"}, []string{`unexpected argument "taste"`, "usage: wine [flags]"}},
		{[]string{"--seed", "red"}, []string{`invalid value "red" for flag -seed`, "usage: wine [flags]"}},
		{[]string{"--port", "70000"}, []string{"--port 70000 is out of range", "usage: wine [flags]"}},
		{[]string{"--buyers", "0"}, []string{"--buyers 0 is out of range"}},
	} {
		code, stdout, stderr := try(t, c.args...)
		require.Equal(t, exitUsage, code, c.args)
		require.Empty(t, stdout)
		for _, says := range c.says {
			require.Contains(t, stderr, says, c.args)
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	t.Parallel()
	code, _, stderr := try(t, "-h")
	require.Equal(t, exitOK, code)
	require.Contains(t, stderr, beside)
}

func TestDataDirectoryThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--data", "/no/such/cellar"}, {"silo", "--data", "/no/such/cellar"}} {
		code, _, stderr := try(t, args...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, stderr, "no data directory /no/such/cellar")
		require.Contains(t, stderr, "--data")
	}
}

func TestTornRatingsAreRefusedWithTheirLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, content []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	write("wines.csv", []byte("WineID,WineName,Type,Country,WineryName\n1,Red,Red,France,Chateau\n"))
	var ratings bytes.Buffer
	z := gzip.NewWriter(&ratings)
	_, err := z.Write([]byte("RatingID,UserID,WineID,Vintage,Rating,Date\n1,ann,1,2000,4.5,2020-01-01 00:00:00\n2,bob,1"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	write("ratings.csv.gz", ratings.Bytes())
	require.NoError(t, os.Mkdir(filepath.Join(dir, "photos"), 0o700))

	code, stdout, stderr := try(t, "--data", dir)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "ratings.csv.gz:3")
	require.Contains(t, stderr, "nothing was loaded")
	require.NotContains(t, stdout, "start")
}

// taken returns a port that is in use until the test ends.
func taken(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestPortInUseSaysWhichAndWhichFlag(t *testing.T) {
	t.Parallel()
	port := taken(t)
	_, err := pickPorts(port)
	var wrong *PortTaken
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, port, wrong.Port)

	code, _, stderr := try(t, "--data", builtin, "--port", strconv.Itoa(port))
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "port "+strconv.Itoa(port))
	require.Contains(t, stderr, "--port")

	code, _, stderr = try(t, "silo", "--data", builtin, "--listen", local(port))
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "--listen "+local(port))
	require.Contains(t, stderr, "in use")
}

func TestLogPortInUseSaysWhichFlag(t *testing.T) {
	t.Parallel()
	port := taken(t)
	code, _, stderr := try(t, "silo", "--data", builtin, "--listen", local(port-1))
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "--listen "+local(port-1))
	require.Contains(t, stderr, strconv.Itoa(port))
}

func TestChildStopsWhenItsParentDies(t *testing.T) {
	t.Parallel()
	addrs, err := pickPorts(0)
	require.NoError(t, err)
	stdin, parent := io.Pipe()
	stdout := &watched{at: serving, then: func() { parent.Close() }}
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"silo", "--data", builtin, "--child", "--listen", addrs[0]}, stdin, stdout, &stderr)
	require.Equal(t, exitOK, code, stderr.String())
	require.Contains(t, stdout.String(), addrs[0])
}

func TestPortsComeInFreePairs(t *testing.T) {
	t.Parallel()
	addrs, err := pickPorts(0)
	require.NoError(t, err)
	require.Len(t, addrs, silos)
	for _, addr := range addrs {
		_, text, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		port, err := strconv.Atoi(text)
		require.NoError(t, err)
		for _, p := range []int{port, port + 1} {
			l, err := net.Listen("tcp", local(p))
			require.NoError(t, err)
			l.Close()
		}
	}
}

// watched is a writer that does something when it has seen a text.
type watched struct {
	bytes.Buffer
	at   string
	then func()
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if w.then != nil && strings.Contains(w.String(), w.at) {
		w.then()
		w.then = nil
	}
	return n, err
}
