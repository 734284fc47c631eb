package view

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/martinelli-go/martinelli/grains/wire"
)

// Append appends the probe's encoding to b: less than a packet.
func (p Probe) Append(b []byte) []byte {
	b = append(b, formatV1)
	b = appendUint(b, 1, uint64(p.Kind))
	b = appendUint(b, 2, p.Seq)
	b = appendMessage(b, 3, p.From.append(nil))
	b = appendMessage(b, 4, p.To.append(nil))
	return appendMessage(b, 5, p.About.append(nil))
}

// DecodeProbe is the inverse of [Probe.Append]. Errors match [ErrMalformed].
func DecodeProbe(b []byte) (p Probe, err error) {
	err = decodeMessage("probe", b, func(f wire.Field) (err error) {
		var n uint64
		switch f.Number {
		case 1:
			if n, err = f.Uint(); err == nil && (n < uint64(Ping) || n > uint64(Nack)) {
				err = f.Errorf("no probe is of kind %d", n)
			}
			p.Kind = ProbeKind(n)
		case 2:
			p.Seq, err = f.Uint()
		case 3:
			p.From, err = fieldRun(f)
		case 4:
			p.To, err = fieldRun(f)
		case 5:
			p.About, err = fieldRun(f)
		default:
			err = f.Errorf("a field that this version does not know")
		}
		return err
	}, func() []byte { return p.Append(nil) })
	return p, err
}

// Append appends the vote's encoding to b.
func (v Vote) Append(b []byte) []byte {
	b = append(b, formatV1)
	b = appendMessage(b, 1, v.By.append(nil))
	b = appendMessage(b, 2, v.About.append(nil))
	return appendUint(b, 3, protowire.EncodeBool(v.Dead))
}

// DecodeVote is the inverse of [Vote.Append]. Errors match [ErrMalformed].
func DecodeVote(b []byte) (v Vote, err error) {
	err = decodeMessage("vote", b, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			v.By, err = fieldRun(f)
		case 2:
			v.About, err = fieldRun(f)
		case 3:
			v.Dead, err = f.Bool()
		default:
			err = f.Errorf("a field that this version does not know")
		}
		return err
	}, func() []byte { return v.Append(nil) })
	return v, err
}

// decodeMessage decodes the fields of b and then requires that again makes the same bytes.
func decodeMessage(what string, b []byte, field func(wire.Field) error, again func() []byte) error {
	if len(b) == 0 || b[0] != formatV1 {
		return fmt.Errorf("view: %s: %w: not of a format that this version knows", what, ErrMalformed)
	}
	if err := wire.EachField(b[1:], field); err != nil {
		return fmt.Errorf("view: %s: %w: %w", what, ErrMalformed, err)
	}
	if !bytes.Equal(again(), b) {
		return fmt.Errorf("view: %s: %w: not in its canonical form", what, ErrMalformed)
	}
	return nil
}

func fieldRun(f wire.Field) (Run, error) {
	b, err := f.Bytes()
	if err != nil {
		return Run{}, err
	}
	return decodeRun(b)
}
