package wire

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// KeyCodec turns keys of grains and of families into text and back. Text is injective, and Parse refuses
// every text that Text does not make.
type KeyCodec[K comparable] struct {
	Text  func(K) string
	Parse func(string) (K, error)
}

// KeyError says why a type cannot be a key, or a text is none.
type KeyError struct {
	Type   string // of the key
	Text   string // that was parsed, if any
	Reason string
}

func (e *KeyError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%s cannot be a key: %s", e.Type, e.Reason)
	}
	return fmt.Sprintf("%q is no key of type %s: %s", e.Text, e.Type, e.Reason)
}

// KeyCodecFor returns the codec of K: a string (the text itself), an int64 (decimal), a [16]byte (hex),
// a type made of one of them, or a struct whose exported fields are such (joined with ',', which is
// escaped in strings by '\'). It looks at the type once; Text of a type other than string, int64 and
// [16]byte themselves costs an allocation or two. The error is a *KeyError.
func KeyCodecFor[K comparable]() (KeyCodec[K], error) {
	t := reflect.TypeFor[K]()
	var zero K
	switch any(zero).(type) {
	case string:
		return KeyCodec[K]{
			func(k K) string { return any(k).(string) },
			func(s string) (K, error) { return any(s).(K), nil },
		}, nil
	case int64:
		return KeyCodec[K]{
			func(k K) string { return strconv.FormatInt(any(k).(int64), 10) },
			func(s string) (k K, err error) {
				n, err := ParseInt64Key(s)
				if err != nil {
					return k, err
				}
				return any(n).(K), nil
			},
		}, nil
	case [16]byte:
		return KeyCodec[K]{
			func(k K) string { return BytesKey(any(k).([16]byte)) },
			func(s string) (k K, err error) {
				b, err := ParseBytesKey(s)
				if err != nil {
					return k, err
				}
				return any(b).(K), nil
			},
		}, nil
	}
	parts, err := keyParts(t, nil)
	if err != nil {
		return KeyCodec[K]{}, err
	}
	if t.Kind() != reflect.Struct {
		p := parts[0]
		return KeyCodec[K]{
			func(k K) string { return p.text(reflect.ValueOf(k)) },
			func(s string) (k K, err error) {
				err = p.parse(s, reflect.ValueOf(&k).Elem())
				return k, err
			},
		}, nil
	}
	return KeyCodec[K]{
		func(k K) string {
			v := reflect.ValueOf(k)
			var b strings.Builder
			for i, p := range parts {
				if i > 0 {
					b.WriteByte(',')
				}
				escapeKey(&b, p.text(v.FieldByIndex(p.index)))
			}
			return b.String()
		},
		func(s string) (k K, err error) {
			fields, ok := splitKey(s, len(parts))
			if !ok {
				return k, &KeyError{t.String(), s, fmt.Sprintf("it has not %d parts, or an escape is bad", len(parts))}
			}
			v := reflect.ValueOf(&k).Elem()
			for i, p := range parts {
				if err := p.parse(fields[i], v.FieldByIndex(p.index)); err != nil {
					var none K
					return none, err
				}
			}
			return k, nil
		},
	}, nil
}

// MustKeyCodec is KeyCodecFor for a type that grainc has looked at; it panics with a *KeyError.
func MustKeyCodec[K comparable]() KeyCodec[K] {
	c, err := KeyCodecFor[K]()
	if err != nil {
		panic(err)
	}
	return c
}

// MustKey returns a key that was parsed. It panics with the error: only a text that no reference made
// fails to parse, and the turn of such a grain has nothing to go on.
func MustKey[K any](k K, err error) K {
	if err != nil {
		panic(err)
	}
	return k
}

// ParseInt64Key reads a decimal number in the form that strconv.FormatInt gives it.
func ParseInt64Key(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s {
		return 0, &KeyError{"int64", quoteEmpty(s), "it is no decimal number of 64 bits in its shortest form"}
	}
	return n, nil
}

// BytesKey is the text of 16 bytes: hex, in lower case.
func BytesKey(k [16]byte) string { return hex.EncodeToString(k[:]) }

// ParseBytesKey reads what BytesKey makes.
func ParseBytesKey(s string) (k [16]byte, err error) {
	if len(s) == 32 {
		if _, err = hex.Decode(k[:], []byte(s)); err == nil && BytesKey(k) == s {
			return k, nil
		}
	}
	return [16]byte{}, &KeyError{"[16]byte", quoteEmpty(s), "it is not 32 digits of lower-case hex"}
}

// quoteEmpty makes an empty text visible in a KeyError.
func quoteEmpty(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

// keyPart is one scalar of a key.
type keyPart struct {
	index []int
	text  func(reflect.Value) string
	parse func(string, reflect.Value) error
}

func keyParts(t reflect.Type, index []int) ([]keyPart, error) {
	switch {
	case t.Kind() == reflect.String:
		return []keyPart{{index, reflect.Value.String, func(s string, v reflect.Value) error {
			v.SetString(s)
			return nil
		}}}, nil
	case t.Kind() == reflect.Int64:
		return []keyPart{{index,
			func(v reflect.Value) string { return strconv.FormatInt(v.Int(), 10) },
			func(s string, v reflect.Value) error {
				n, err := ParseInt64Key(s)
				v.SetInt(n)
				return err
			}}}, nil
	case t.Kind() == reflect.Array && t.Len() == 16 && t.Elem().Kind() == reflect.Uint8:
		return []keyPart{{index,
			func(v reflect.Value) string {
				var k [16]byte
				for i := range k {
					k[i] = byte(v.Index(i).Uint())
				}
				return BytesKey(k)
			},
			func(s string, v reflect.Value) error {
				k, err := ParseBytesKey(s)
				for i := range k {
					v.Index(i).SetUint(uint64(k[i]))
				}
				return err
			}}}, nil
	case t.Kind() == reflect.Struct:
		var parts []keyPart
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				return nil, &KeyError{Type: t.String(), Reason: "its field " + f.Name + " is not exported: export it"}
			}
			more, err := keyParts(f.Type, append(index[:len(index):len(index)], i))
			if err != nil {
				return nil, err
			}
			parts = append(parts, more...)
		}
		if len(parts) > 0 {
			return parts, nil
		}
	}
	return nil, &KeyError{Type: t.String(), Reason: "a key is a string, an int64, a [16]byte, a type made of one of them, or a struct of them"}
}

func escapeKey(b *strings.Builder, s string) {
	if !strings.ContainsAny(s, `,\`) {
		b.WriteString(s)
		return
	}
	for i := range len(s) {
		if s[i] == ',' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
}

// splitKey undoes the joining of n escaped parts.
func splitKey(s string, n int) ([]string, bool) {
	fields := make([]string, 0, n)
	var part []byte
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			if i == len(s) || s[i] != ',' && s[i] != '\\' {
				return nil, false
			}
			part = append(part, s[i])
		case ',':
			if len(fields) == n {
				return nil, false
			}
			fields = append(fields, string(part))
			part = part[:0]
		default:
			part = append(part, s[i])
		}
	}
	fields = append(fields, string(part))
	return fields, len(fields) == n
}
