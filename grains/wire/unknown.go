package wire

// Unknown, as a field of a struct, keeps the fields of the struct's message that this build of the code does not
// know, and writes them back behind those that it knows. The zero value has none. What it holds is never
// changed once it is decoded: copies share it.
type Unknown struct{ fields []byte }

// Keep adds the field at hand of a reader, as it is written there. It is for generated decoders.
func (u *Unknown) Keep(r *Reader) {
	r.Skip()
	if r.err == nil {
		u.fields = append(u.fields, r.b[r.start:r.off]...)
	}
}

// Append appends the fields to the encoding of a message.
func (u Unknown) Append(b []byte) []byte { return append(b, u.fields...) }

// Len is the size of the fields, in encoded bytes.
func (u Unknown) Len() int { return len(u.fields) }
