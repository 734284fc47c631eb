package wire

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// AppendInterface appends what a silo needs to know of a caller's interface, whose kind it knows: 8 bytes for
// one that is as it was first, up to 26 otherwise.
func AppendInterface(b []byte, i Interface) []byte {
	b = binary.LittleEndian.AppendUint64(b, i.Fingerprint)
	if i.Version == 0 && i.Lineage == i.Fingerprint {
		return b
	}
	b = binary.LittleEndian.AppendUint64(b, i.Lineage)
	if i.Version == 0 {
		return b
	}
	return protowire.AppendVarint(b, uint64(i.Version))
}

// DecodeInterface decodes what AppendInterface appended. Bytes beyond it are a later version's, and ignored.
func DecodeInterface(f Field) (i Interface, err error) {
	b, err := f.Bytes()
	if err != nil {
		return i, err
	}
	if len(b) < 8 {
		return i, f.Errorf("a fingerprint of %d bytes, of 8", len(b))
	}
	i.Fingerprint = binary.LittleEndian.Uint64(b)
	i.Lineage = i.Fingerprint
	if b = b[8:]; len(b) == 0 {
		return i, nil
	}
	if len(b) < 8 {
		return i, f.Errorf("a lineage of %d bytes, of 8", len(b))
	}
	i.Lineage = binary.LittleEndian.Uint64(b)
	if b = b[8:]; len(b) == 0 {
		return i, nil
	}
	v, n := protowire.ConsumeVarint(b)
	if n < 0 || v > 1<<32-1 {
		return i, f.Errorf("no version of 32 bits")
	}
	i.Version = uint32(v)
	return i, nil
}

// Same says that nothing keeps two builds from talking: they have the same interface, or one of them does not
// say which it has.
func (i Interface) Same(other Interface) bool {
	return i.Fingerprint == other.Fingerprint || i.Fingerprint == 0 || other.Fingerprint == 0
}

// Related says that numbers mean the same in both.
func (i Interface) Related(other Interface) bool { return i.Same(other) || i.Lineage == other.Lineage }

// String is "version 3 (fingerprint 00c0ffee00c0ffee)", or without a version "fingerprint …".
func (i Interface) String() string {
	switch {
	case i.Fingerprint == 0:
		return "a version that it does not tell"
	case i.Version == 0:
		return fmt.Sprintf("fingerprint %016x", i.Fingerprint)
	}
	return fmt.Sprintf("version %d (fingerprint %016x)", i.Version, i.Fingerprint)
}

// BadArguments is the error of arguments that are no encoding of what the method takes. The method was not
// called.
type BadArguments struct {
	Method string
	Err    error
}

func (e *BadArguments) Error() string {
	return "arguments of " + e.Method + ": cannot decode: " + e.Err.Error()
}

// Unwrap makes it an ErrDecode.
func (e *BadArguments) Unwrap() []error { return []error{ErrDecode, e.Err} }
