package host

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"maps"
	"strings"

	"github.com/martinelli-go/martinelli/grains/variable"
	"github.com/martinelli-go/martinelli/grains/wire"
)

// outputs holds what each process has written for each of its keys: a process that has moved, or begun
// again, goes on by difference to it. An element is a mark, the run that put it on record, the variable,
// and what was written to it. It is a set, and not one value, so that the records of two silos that ran
// the process one after the other are merged, whichever arrives first; and it names runs, so that a run
// takes off the record what it has seen there and never what another is just putting there.
var outputs = variable.By[string](variable.Set[string]("dataflow.outputs"))

// OutputsKind is the hidden family that silos host for processes besides what they are given.
func OutputsKind() wire.Kind {
	return variable.SetKindBy(outputs, wire.Codec[string]{
		Append: func(b []byte, v string) []byte { return append(b, v...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
	})
}

// The marks of elements of outputs.
const (
	markWritten  = "+"
	markDoubtful = "~"
)

// outputsKey names the record of a process for one of its keys. Names of processes have no zero byte.
func outputsKey(process, key string) string { return process + "\x00" + key }

// outputOf is an element of the record, but for its mark.
func outputOf(variable wire.ID, elem string) string {
	b := binary.AppendUvarint(nil, uint64(len(variable.Kind())))
	b = append(b, variable.Kind()...)
	b = binary.AppendUvarint(b, uint64(len(variable.Key())))
	b = append(b, variable.Key()...)
	return string(append(b, elem...))
}

func (t *turn) record() *variable.SetHandle[string] {
	return outputs.At(wire.NewPlace(t.engine), outputsKey(t.job.p.name, t.job.key))
}

// recorded returns what is on record of a process for one of its keys.
func recorded(ctx context.Context, e wire.Engine, j *job) (map[string]struct{}, error) {
	all, err := outputs.At(wire.NewPlace(e), outputsKey(j.p.name, j.key)).All(ctx)
	if err != nil {
		return nil, err
	}
	set := map[string]struct{}{}
	for e := range all {
		set[e] = struct{}{}
	}
	return set, nil
}

// runLength is how many bytes of an element name the run.
const runLength = 16

// parse takes an element of the record apart.
func parse(entry string) (mark, of string, ok bool) {
	if len(entry) < 1+runLength {
		return "", "", false
	}
	return entry[:1], entry[1+runLength:], true
}

// Outputs implements wire.Recorder.
func (t *turn) Outputs(ctx context.Context, variable wire.ID) (written, doubtful map[string]struct{}, err error) {
	all, err := recorded(ctx, t.engine, t.job)
	if err != nil {
		return nil, nil, err
	}
	t.job.outputs = all
	written, doubtful = map[string]struct{}{}, map[string]struct{}{}
	prefix := outputOf(variable, "")
	for e := range all {
		mark, of, ok := parse(e)
		elem, ours := strings.CutPrefix(of, prefix)
		switch {
		case !ok || !ours:
		case mark == markWritten:
			written[elem] = struct{}{}
		case mark == markDoubtful:
			doubtful[elem] = struct{}{}
		}
	}
	return written, doubtful, nil
}

// RecordOutputs implements wire.Recorder.
func (t *turn) RecordOutputs(ctx context.Context, variable wire.ID, c wire.OutputChange) error {
	if err := t.may(); err != nil {
		return fmt.Errorf("the record of what process %s writes to variable %s: %w", t.job.p.name, variable, err)
	}
	if t.run == "" {
		t.run = rand.Text()[:runLength]
	}
	off := map[string]string{} // marks that go, by what they are of
	on := map[string]string{}  // the mark that comes
	mark := func(elems []string, add, remove string) {
		for _, e := range elems {
			of := outputOf(variable, e)
			off[of] += remove
			if add != "" {
				on[of] = add
			}
		}
	}
	mark(c.Begun, markDoubtful, "")
	mark(c.Written, markWritten, markDoubtful)
	mark(c.Doubted, markDoubtful, markWritten)
	now := maps.Clone(t.job.outputs)
	if now == nil {
		now = map[string]struct{}{}
	}
	var added, removed []string
	for e := range t.job.outputs {
		if m, of, ok := parse(e); ok && strings.Contains(off[of], m) {
			delete(now, e)
			removed = append(removed, e)
		}
	}
	for of, m := range on {
		e := m + t.run + of
		if _, there := now[e]; !there {
			now[e] = struct{}{}
			added = append(added, e)
		}
	}
	t.job.outputs = now
	return t.record().Change(ctx, added, removed)
}
