package view

import (
	"testing"
	"time"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// What each turn pays for the lease and the slot.
func BenchmarkBegin(b *testing.B) {
	k := newKeeping(b, 0)
	k.serve()
	s := k.k.Standing()
	g, err := s.Activate(k.now, alice)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if s.Begin(k.now, g) != nil {
			b.Fatal("refused")
		}
	}
}

// What each call pays to find its silo.
func BenchmarkOwner(b *testing.B) {
	l := newLog(b)
	for n := range 8 {
		l.join(n, 1)
	}
	id := wire.NewID("k", "alice")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := l.Table().Owner(id); !ok {
			b.Fatal("nobody")
		}
	}
}

// What a silo that joins eight others costs each of them.
func BenchmarkJoin(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		l := newLog(b)
		for n := range 8 {
			l.join(n, 1)
		}
		l.settle()
		l.put(Join{member(8, 1)})
		b.StartTimer()
		l.put(Ready{member(8, 1).Run})
	}
}

// What an entry of renewals costs.
func BenchmarkRenew(b *testing.B) {
	l := newLog(b)
	var renew Renew
	for n := range 64 {
		renew.Renewals = append(renew.Renewals, Renewal{Run: l.join(n, 1)})
	}
	b.ReportAllocs()
	mark := uint64(time.Second)
	for b.Loop() {
		mark++
		for i := range renew.Renewals {
			renew.Renewals[i].Mark = mark
		}
		if _, err := l.Apply(EncodeCommands(renew)); err != nil {
			b.Fatal(err)
		}
	}
}
