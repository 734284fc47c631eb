package host

import (
	"maps"
	"slices"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// frontiers says for each source which of its updates an output contains.
type frontiers map[string]wire.Frontier

// merge returns the frontier of what is made of inputs with these frontiers: for each source what all
// inputs contain. Where inputs have come from different runs of an ingress that is nothing of the later.
func merge(inputs []frontiers) frontiers {
	merged := frontiers{}
	for _, in := range inputs {
		for source, f := range in {
			old, known := merged[source]
			switch {
			case !known:
				merged[source] = f
			case old.Ingress == f.Ingress:
				merged[source] = wire.Frontier{Ingress: f.Ingress, Number: min(old.Number, f.Number)}
			default:
				merged[source] = wire.Frontier{Ingress: max(old.Ingress, f.Ingress)}
			}
		}
	}
	return merged
}

// behind says whether f lacks, of some source, updates that g contains.
func (f frontiers) behind(g frontiers) bool {
	for source, theirs := range g {
		if ours := f[source]; ours.Ingress == theirs.Ingress && ours.Number < theirs.Number {
			return true
		}
	}
	return false
}

// whole is f as one number: of a view over several sources the sum, of a run that stands for theirs
// together. It grows with each of them, so it can be compared like that of a single source.
func (f frontiers) whole() wire.Frontier {
	var all wire.Frontier
	for i, source := range slices.Sorted(maps.Keys(f)) {
		one := f[source]
		if i == 0 {
			all = one
			continue
		}
		all.Number += one.Number
		all.Ingress = xxh3.HashStringSeed(source, all.Ingress^one.Ingress*0x9e3779b97f4a7c15)
	}
	return all
}

// On the wire: repeated Frontier { string source = 1; uint64 ingress = 2; uint64 number = 3; }
func (f frontiers) append(b []byte, n protowire.Number) []byte {
	for _, source := range slices.Sorted(maps.Keys(f)) {
		b = wire.AppendElement(b, n, f[source], func(b []byte, f wire.Frontier) []byte {
			b = wire.AppendString(b, 1, source)
			b = wire.AppendUint(b, 2, f.Ingress)
			return wire.AppendUint(b, 3, f.Number)
		})
	}
	return b
}

// maxSources bounds what a hostile message makes of a frontier.
const maxSources = 1024

func decodeFrontier(f wire.Field, to frontiers) (frontiers, error) {
	b, err := f.Bytes()
	if err != nil {
		return to, err
	}
	var source string
	var one wire.Frontier
	err = wire.EachField(b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			source, err = f.String()
		case 2:
			one.Ingress, err = f.Uint()
		case 3:
			one.Number, err = f.Uint()
		}
		return err
	})
	if err != nil {
		return to, err
	}
	if len(to) >= maxSources {
		return to, f.Errorf("more than %d sources", maxSources)
	}
	if to == nil {
		to = frontiers{}
	}
	to[source] = one
	return to, nil
}
