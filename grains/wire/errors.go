package wire

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"
)

// Errors that say what happened to a call, whatever was called. Each is found by errors.Is in an error
// whose text says what happened, to which grain, and what to do.
var (
	// ErrUnknown: the call was sent and its fate is unknown; it may have run. Ask txn.Outcome if it
	// begins an atomic block, or call again only if that does no harm.
	ErrUnknown = errors.New("unknown whether the call was executed")
	// ErrNotExecuted: the call did not run and will not; calling again is safe. Most refusals that calling
	// again does not help are not among them; package grains has the list.
	ErrNotExecuted = errors.New("the call was not executed")
	// ErrNoSuchKind: no silo that is reachable hosts that kind.
	ErrNoSuchKind = errors.New("no silo hosts this kind")
	// ErrNoSuchMethod: the call did not run, because the silo's version of the interface has no such method. It
	// is an ErrNotExecuted too: where it is the silos that are older, it runs when they have been upgraded.
	ErrNoSuchMethod = fmt.Errorf("the grain has no such method there: %w", ErrNotExecuted)
	// ErrCycle: the call would wait for a grain that waits for it.
	ErrCycle = errors.New("the call chain comes back to a grain that waits for it")
	// ErrTooLarge: arguments or result exceed what one message may carry.
	ErrTooLarge = errors.New("the message is too large")
	// ErrPanic: the method panicked; its stack is in the silo's log.
	ErrPanic = errors.New("the grain's method panicked")
	// ErrNoBlock: transactional state was used outside any atomic block.
	ErrNoBlock = errors.New("transactional state needs an atomic block: call within txn.Atomic")
	// ErrOutsideBlock: a block is open in this turn, and the context that was passed is not the block's.
	ErrOutsideBlock = errors.New("the context is not the open atomic block's: pass the ctx that the block's function was given")
	// ErrAborted: the atomic block had no effect; trying again is safe.
	ErrAborted = errors.New("the atomic block was aborted")
	// ErrUnbound: a state field of a struct that no silo made.
	ErrUnbound = errors.New("the grain was not made by a silo: get a reference from the generated Get function; in tests, from a cluster of package graintest")
	// ErrDecode: bytes that are no encoding of what was expected.
	ErrDecode = errors.New("cannot decode")
	// ErrReplyLost: the atomic block of a retried call is committed, but its reply was not kept.
	ErrReplyLost = errors.New("committed, but the reply was not kept: return the value of txn.AtomicValue from the method for it to be kept")
	// ErrDenied: the silos' Config.Authorize refused it; it was not executed, and asking again does not
	// help.
	ErrDenied = errors.New("not authorized")
	// ErrNoLease: the call did not run, because the silos that it reached have no lease: they are cut off
	// from most of the others, and only those may serve grains. It is an ErrNotExecuted too.
	ErrNoLease = fmt.Errorf("this silo reaches no majority of the silos, which alone may serve grains: call from, or at, another silo: %w", ErrNotExecuted)
	// ErrFenced: the silo may not run the turn any more: its lease has run out, or the grain is another's.
	// It never travels: who called the turn is told ErrUnknown.
	ErrFenced = errors.New("the turn has lost its grain: nothing that it does counts any more: return")
	// ErrOverloaded: the call did not run, because too much waits already, at its grain, its silo or this
	// node. It is an ErrNotExecuted too; who calls again at once makes it worse.
	ErrOverloaded = fmt.Errorf("too much waits already; call again later, or less: %w", ErrNotExecuted)
	// ErrIncompatible: the call did not run, because caller and silo were built from interfaces that cannot
	// talk.
	ErrIncompatible = errors.New("caller and silo have interfaces of this kind that cannot talk to each other")
	// ErrStreamLost: a stream's grain has moved, or ended, in the middle of it, or its reader paused for too
	// long. What was read is good; nothing says whether there was more. Range over a new one.
	ErrStreamLost = errors.New("the stream was lost before its end: start it anew")
	// ErrYieldInBlock: a method that returns a stream has yielded from inside an atomic block that it began,
	// which would stay open for as long as the reader likes. The block had no effect, and the stream is over.
	ErrYieldInBlock = errors.New("yielded inside an atomic block: collect there, and yield after it")
	// ErrOneWayInBlock: a one-way call was made inside an atomic block, which it would leave before that is
	// decided. It is an ErrNotExecuted too.
	ErrOneWayInBlock = fmt.Errorf("a one-way call cannot be part of an atomic block: make it after the block: %w", ErrNotExecuted)
	// ErrUnsupported: this kind of node cannot serve the request.
	ErrUnsupported = errors.New("not possible on this node")
)

// frameworkErrors by the number that travels; numbers are never used again for another error.
var frameworkErrors = []error{
	1: ErrUnknown, 2: ErrNotExecuted, 3: ErrNoSuchKind, 4: ErrNoSuchMethod, 5: ErrCycle, 6: ErrTooLarge, 7: ErrPanic,
	8: ErrNoBlock, 9: ErrOutsideBlock, 10: ErrAborted, 11: ErrUnbound, 12: ErrDecode, 13: ErrReplyLost, 14: ErrUnsupported,
	15: context.Canceled, 16: context.DeadlineExceeded, 17: ErrDenied,
	18: ErrNoLease, 19: ErrOverloaded, 20: ErrIncompatible, 21: ErrStreamLost,
	22: ErrYieldInBlock, 23: ErrOneWayInBlock,
}

// InDoubt is the error of an atomic block that was submitted, and whose outcome this node did not learn
// in time. Ask txn.Outcome(ctx, c, ID).
type InDoubt struct{ ID BlockID }

func (e *InDoubt) Error() string {
	return fmt.Sprintf("atomic block %v is in doubt: it was submitted and no outcome came in time; ask txn.Outcome", e.ID)
}

// Is makes an InDoubt an ErrUnknown too.
func (e *InDoubt) Is(target error) bool { return target == ErrUnknown }

// RemoteError is an error of a method that is neither a package-level error nor an exported error
// struct of the interface's package: its text is all that travels.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// DecodeFailure wraps what a codec said of bytes that it refused.
type DecodeFailure struct{ Err error }

func (e *DecodeFailure) Error() string   { return "cannot decode: " + e.Err.Error() }
func (e *DecodeFailure) Unwrap() []error { return []error{ErrDecode, e.Err} }

// ErrorTable holds the errors of an interface's package by their locked numbers.
type ErrorTable struct {
	Package string
	Errors  []ErrorEntry
}

// ErrorEntry is one error that keeps its identity across the wire.
type ErrorEntry struct {
	Number uint32
	find   func(error) ([]byte, bool)
	decode func([]byte) (error, error)
}

// Sentinel returns the entry of a package-level error.
func Sentinel(number uint32, sentinel error) ErrorEntry {
	return ErrorEntry{number,
		func(err error) ([]byte, bool) { return nil, errors.Is(err, sentinel) },
		func([]byte) (error, error) { return sentinel, nil }}
}

// ErrorStruct returns the entry of an exported error struct; T is the type that is returned as an error,
// a struct or a pointer to one.
func ErrorStruct[T error](number uint32, codec Codec[T]) ErrorEntry {
	var none T
	pointer := reflect.TypeFor[T]().Kind() == reflect.Pointer
	return ErrorEntry{number,
		func(err error) ([]byte, bool) {
			var e T
			if !errors.As(err, &e) {
				return nil, false
			}
			return codec.Append(nil, e), true
		},
		func(b []byte) (error, error) {
			e, err := codec.Decode(b)
			if err != nil || pointer && any(e) == any(none) { // a nil pointer has no text of its own
				return nil, err
			}
			return e, nil
		}}
}

// received is an error that came over the wire: the sender's text, and what it was made of here.
type received struct {
	text   string
	causes []error
}

func (e *received) Error() string   { return e.text }
func (e *received) Unwrap() []error { return e.causes }

const (
	errText, errFramework, errEntry, errDoubt, errCall, errCallError = 1, 2, 3, 4, 5, 6
	maxCauses                                                        = 64
)

// maxErrorStruct bounds the encoding of one error struct. What is larger keeps its text and loses its
// identity. It also bounds how deep errors inside errors can be nested by whoever sends bytes.
const maxErrorStruct = 64 << 10

// fate is what an error that is encoded says of the call that it is of.
type fate uint8

const (
	itself    fate = iota // whatever it says
	ranItself             // the method ran: that some call which it made did not is of that call alone
	notRun                // the method did not run, and nobody doubts it
)

// says whether an error of the framework is of the call, and travels.
func (f fate) says(known error) bool {
	return f == itself || !errors.Is(known, ErrNotExecuted) && (f == ranItself || known != ErrUnknown)
}

// MethodError is what a method's error looks like to its caller, here or elsewhere: that some call which
// the method made was not executed says nothing of the method's own, and must not invite its caller to
// call again. An error of such a call is a *CallError inside of what is returned, never that itself. It panics
// where the error's own methods do.
func MethodError(err error, t *ErrorTable) error { return told(err, t, ranItself) }

func told(err error, t *ErrorTable, f fate) error {
	_ = err.Error() // a nil pointer may have no text: that is to be found out while a panic is the method's
	_, passedOn := errors.AsType[*CallError](err)
	if !passedOn && !errors.Is(err, ErrNotExecuted) && (f != notRun || !errors.Is(err, ErrUnknown)) {
		return err
	}
	return DecodeError(appendError(nil, err, t, f), t)
}

// AppendMethodError is AppendError for the error that a method returned.
func AppendMethodError(b []byte, err error, t *ErrorTable) []byte {
	return appendError(b, err, t, ranItself)
}

// AppendError appends the encoding of err: its text, and the identity of every error in it that t or this
// package knows. A *CallError arrives as one.
func AppendError(b []byte, err error, t *ErrorTable) []byte { return appendError(b, err, t, itself) }

func appendError(b []byte, err error, t *ErrorTable, f fate) []byte {
	b = protowire.AppendTag(b, errText, protowire.BytesType)
	b = protowire.AppendString(b, err.Error())
	if ce, ok := errors.AsType[*CallError](err); ok {
		own := f == itself && err == error(ce)
		b = appendMessage(b, errCallError, ce.append(nil, own, t, f))
	}
	for n, known := range frameworkErrors {
		if known == nil || !f.says(known) {
			continue
		}
		if errors.Is(err, known) {
			b = protowire.AppendTag(b, errFramework, protowire.VarintType)
			b = protowire.AppendVarint(b, uint64(n))
		}
	}
	if doubt := (*InDoubt)(nil); f != notRun && errors.As(err, &doubt) {
		b = appendMessage(b, errDoubt, appendBlockID(nil, doubt.ID))
	}
	if ce := (*CallError)(nil); errors.As(err, &ce) && !ce.Call.IsZero() {
		b = appendMessage(b, errCall, appendBlockID(nil, ce.Call))
	}
	if t == nil {
		return b
	}
	for _, e := range t.Errors {
		if payload, ok := e.find(err); ok && len(payload) <= maxErrorStruct {
			m := protowire.AppendTag(nil, 1, protowire.VarintType)
			m = protowire.AppendVarint(m, uint64(e.Number))
			m = appendMessage(m, 2, payload)
			b = appendMessage(b, errEntry, m)
		}
	}
	return b
}

// DecodeError makes the error that AppendError encoded. Bytes that are none give an ErrDecode.
func DecodeError(b []byte, t *ErrorTable) error { return decodeError(b, t, 0) }

func decodeError(b []byte, t *ErrorTable, depth int) error {
	e := &received{}
	var call *CallError // comes before the fields that say less of the same
	own := false
	err := EachField(b, func(f Field) error {
		if len(e.causes) > maxCauses {
			return f.Errorf("more than %d causes", maxCauses)
		}
		switch f.Number {
		case errText:
			s, err := f.String()
			e.text = s
			return err
		case errFramework:
			n, err := f.Uint()
			if err == nil && n < uint64(len(frameworkErrors)) && frameworkErrors[n] != nil {
				e.causes = append(e.causes, frameworkErrors[n])
			}
			return err
		case errDoubt:
			id, err := decodeBlockID(f)
			e.causes = append(e.causes, &InDoubt{id})
			return err
		case errCall:
			id, err := decodeBlockID(f)
			if call == nil {
				e.causes = append(e.causes, &CallError{Call: id, Cause: ErrUnknown})
			}
			return err
		case errCallError:
			if call != nil || depth == maxCallDepth {
				return nil
			}
			m, err := f.Bytes()
			if err == nil {
				call, own, err = decodeCallError(m, t, depth)
			}
			if err == nil {
				e.causes = append(e.causes, call)
			}
			return err
		case errEntry:
			cause, err := decodeEntry(f, t)
			if cause != nil {
				e.causes = append(e.causes, cause)
			}
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the error that a call returned: %w", &DecodeFailure{err})
	}
	if len(e.causes) == 0 {
		return &RemoteError{e.text}
	}
	if own && hasText(call, e.text) {
		return call
	}
	for _, cause := range e.causes {
		if cause != error(call) && e.isAll(cause) {
			return cause
		}
	}
	return e
}

// isAll says whether one of the causes says all that e does.
func (e *received) isAll(cause error) (all bool) {
	if !hasText(cause, e.text) {
		return false
	}
	defer func() { _ = recover() }()
	for _, other := range e.causes {
		if len(e.causes) > 1 && !errors.Is(cause, other) {
			return false
		}
	}
	return true
}

// hasText says whether that is the text of err. The Error method of an error struct may panic for what
// hostile bytes put into it.
func hasText(err error, text string) (has bool) {
	defer func() { _ = recover() }()
	return err.Error() == text
}

func decodeEntry(f Field, t *ErrorTable) (cause, err error) {
	m, err := f.Bytes()
	if err != nil {
		return nil, err
	}
	var number uint64
	var payload []byte
	err = EachField(m, func(f Field) (err error) {
		switch f.Number {
		case 1:
			number, err = f.Uint()
		case 2:
			payload, err = f.Bytes()
		}
		return err
	})
	if err != nil || t == nil {
		return nil, err
	}
	if len(payload) > maxErrorStruct {
		return nil, f.Errorf("an error struct of %d bytes, of %d at most", len(payload), maxErrorStruct)
	}
	for _, e := range t.Errors {
		if uint64(e.Number) == number {
			return e.decode(payload)
		}
	}
	return nil, nil
}

func appendMessage(b []byte, number protowire.Number, m []byte) []byte {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}

func appendBlockID(b []byte, id BlockID) []byte {
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, id.Client)
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	return protowire.AppendVarint(b, id.Seq)
}

func decodeBlockID(f Field) (id BlockID, err error) {
	m, err := f.Bytes()
	if err != nil {
		return id, err
	}
	return id, EachField(m, func(f Field) (err error) {
		switch f.Number {
		case 1:
			id.Client, err = f.Uint()
		case 2:
			id.Seq, err = f.Uint()
		}
		return err
	})
}
