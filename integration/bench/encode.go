package main

import (
	"context"
	"math"

	"github.com/martinelli-go/martinelli/integration/internal/encoders"
	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// encodings is how many structs are encoded, or decoded, in one turn.
const encodings = 200_000

// encoders measures generated encoders beside package proto, on a struct of ten fields of many types.
func (b *bench) encoders(ctx context.Context, r *report.Report, c callsPlan) error {
	b.progress("encoders, %d rounds", c.rounds)
	turn := func(do func(n int) int) func() report.Cost {
		return func() report.Cost { return report.Timed(encodings, func() { do(encodings) }) }
	}
	all, err := report.Alternate(ctx, c.rounds,
		turn(encoders.Encode), turn(encoders.ProtoEncode), turn(encoders.Decode), turn(encoders.ProtoDecode))
	if err != nil {
		return err
	}
	s := &report.Section{
		Title:   "encoders: a struct of ten mixed fields, in one goroutine",
		Columns: report.Row{"", "time", "allocations"},
	}
	for i, name := range []string{"encode, generated", "proto.Marshal", "decode, generated", "proto.Unmarshal"} {
		s.Rows = append(s.Rows, report.Row{name, report.Nanos(all[i].Median(report.Time)), report.Number(all[i].Median(report.Allocs))})
	}
	r.Sections = append(r.Sections, s)
	r.AtMost("encode 10 mixed fields: time / proto.Marshal's", report.Ratio(all[0], all[1], report.Time), 1)
	r.AtMost("decode 10 mixed fields: time / proto.Unmarshal's", report.Ratio(all[2], all[3], report.Time), 1)
	// Whole ones: the runtime's own come to some millionths of one for each.
	r.AtMost("encode 10 mixed fields: allocations", math.Round(100*all[0].Median(report.Allocs))/100, 1)
	return nil
}
