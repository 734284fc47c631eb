package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Values are what a request carries beside its arguments: texts by name. They do not change.
type Values struct {
	all  []value // sorted by name
	size int
}

type value struct{ name, text string }

const (
	// MaxValues is how many values a request carries at most.
	MaxValues = 32
	// MaxValueBytes is what they measure at most, names and texts together.
	MaxValueBytes = 8 << 10
)

// ValuesError is the error of calls under a context that was given more values than may travel. They were not
// executed.
type ValuesError struct {
	Name  string // of the value that was too much
	Count int    // values, with it
	Bytes int    // that they measure
}

func (e *ValuesError) Error() string {
	return fmt.Sprintf("with %q a request has %d values of %d bytes, of %d and %d at most", e.Name, e.Count, e.Bytes, MaxValues, MaxValueBytes)
}

type valuesKey struct{}

// ValuesOf returns the values of ctx, nil for none.
func ValuesOf(ctx context.Context) *Values {
	v, _ := ctx.Value(valuesKey{}).(*Values)
	return v
}

// WithValues returns a context that has those values and no others.
func WithValues(ctx context.Context, v *Values) context.Context {
	if v == nil {
		return ctx
	}
	return context.WithValue(ctx, valuesKey{}, v)
}

// WithValue returns a context that has one more value, in the place of one of the same name. Where that is
// more than may travel the context has ended, and calls under it fail with the *ValuesError.
func WithValue(ctx context.Context, name, text string) context.Context {
	next := &Values{}
	if had := ValuesOf(ctx); had != nil {
		*next = Values{slices.Clone(had.all), had.size}
	}
	i, found := next.find(name)
	if found {
		next.size += len(text) - len(next.all[i].text)
		next.all[i].text = text
	} else {
		next.size += len(name) + len(text)
		next.all = slices.Insert(next.all, i, value{name, text})
	}
	if next.over() {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(&ValuesError{name, len(next.all), next.size})
		return ctx
	}
	return WithValues(ctx, next)
}

// ValueOf returns the value of that name.
func ValueOf(ctx context.Context, name string) (text string, ok bool) {
	v := ValuesOf(ctx)
	if v == nil {
		return "", false
	}
	i, ok := v.find(name)
	if !ok {
		return "", false
	}
	return v.all[i].text, true
}

func (v *Values) find(name string) (int, bool) {
	return slices.BinarySearchFunc(v.all, name, func(v value, name string) int { return strings.Compare(v.name, name) })
}

func (v *Values) over() bool { return len(v.all) > MaxValues || v.size > MaxValueBytes }

// Append appends the values as a field, nothing for nil.
func (v *Values) Append(b []byte, n protowire.Number) []byte {
	if v == nil {
		return b
	}
	return AppendElement(b, n, v, func(b []byte, v *Values) []byte {
		for _, one := range v.all {
			b = AppendElement(b, 1, one, func(b []byte, v value) []byte {
				return AppendString(AppendString(b, 1, v.name), 2, v.text)
			})
		}
		return b
	})
}

// DecodeValues reads what Append wrote. More than may travel, and a name that comes twice, are errors.
func DecodeValues(f Field) (*Values, error) {
	return DecodeMessage(f, func(b []byte) (*Values, error) {
		v := &Values{}
		err := EachField(b, func(f Field) error {
			if f.Number != 1 {
				return nil
			}
			one, err := DecodeMessage(f, decodeValue)
			if err != nil {
				return err
			}
			i, twice := v.find(one.name)
			if twice {
				return f.Errorf("two values of one name, %q", one.name)
			}
			v.all = slices.Insert(v.all, i, one)
			if v.size += len(one.name) + len(one.text); v.over() {
				return f.Errorf("more than %d values, or %d bytes of them", MaxValues, MaxValueBytes)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return v, nil
	})
}

func decodeValue(b []byte) (v value, err error) {
	return v, EachField(b, func(f Field) (err error) {
		switch f.Number {
		case 1:
			v.name, err = f.String()
		case 2:
			v.text, err = f.String()
		}
		return err
	})
}

// Ended is the error of a call that was not made because its context had ended.
func Ended(ctx context.Context, to ID, method string) error {
	why := context.Cause(ctx)
	e := &CallError{To: to, Method: method, Cause: ErrNotExecuted, Detail: "the context had ended before the call was made: " + why.Error(), Ended: ctx.Err()}
	if over := (*ValuesError)(nil); errors.As(why, &over) {
		e.Cause, e.Detail, e.Ended = fmt.Errorf("%w: %w", over, ErrNotExecuted), "", nil
	}
	return e
}
