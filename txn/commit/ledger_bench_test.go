package commit

import (
	"fmt"
	"testing"
)

// One purchase: three states read and written, one entry.
func BenchmarkApply(b *testing.B) {
	l := NewLedger(Config{})
	l.Apply(1, EncodeEntry(Register{}))
	var d Decision
	for i := range 3 {
		d.Reads = append(d.Reads, Read{Key: key(fmt.Sprint(i))})
		d.Writes = append(d.Writes, Write{Key: key(fmt.Sprint(i)), Value: make([]byte, 100)})
	}
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		seq++
		d.Attempt = attempt(1, seq, 1)
		l.Apply(seq+1, EncodeEntry(d))
		for i := range d.Reads {
			d.Reads[i].Version = d.Attempt
		}
	}
}

// How long taking a snapshot keeps Apply waiting, with 100,000 states.
func BenchmarkSnapshotCapture(b *testing.B) {
	l := NewLedger(Config{})
	for i := range 100_000 {
		l.states.put(key(fmt.Sprint(i)), state{version: attempt(1, 1, 1)})
	}
	for b.Loop() {
		l.Snapshot().Release()
	}
}
