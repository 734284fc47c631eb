package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// CallError is an error of a call that its method did not return, or one that it passes on of a call of its own. Cause is one of this package's, or wraps one.
type CallError struct {
	To     ID
	Method string
	Cause  error
	// Call names the call, when its fate is unknown and it came from outside: for txn.Outcome.
	Call BlockID
	// Detail says what happened.
	Detail string
	// Ended is context.Canceled or context.DeadlineExceeded where the call ended because its context had, or
	// because of the limit of one without a deadline; else nil. errors.Is finds it.
	Ended error
	// PassedOn: it is of a call that the method, or its grain's OnActivate, had made, and is a part of what that
	// returned.
	PassedOn bool
}

func (e *CallError) Error() string {
	var b strings.Builder
	b.WriteString(e.To.String())
	if e.Method != "" {
		b.WriteString("." + e.Method)
	}
	b.WriteString(": ")
	if e.Detail != "" {
		b.WriteString(e.Detail + ": ")
	}
	if e.Cause != nil {
		b.WriteString(e.Cause.Error())
	}
	if !e.Call.IsZero() {
		fmt.Fprintf(&b, " (call %v)", e.Call)
	}
	return b.String()
}

// Unwrap returns Cause.
func (e *CallError) Unwrap() error { return e.Cause }

// Is says that e is the error of the context that ended it, too.
func (e *CallError) Is(target error) bool { return e.Ended != nil && target == e.Ended }

// EndOf is the Ended of a call that waited under ctx for as long as it may.
func EndOf(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.DeadlineExceeded
}

// NotActivated is the error of a call whose grain was not activated, because of err: it did not run, whatever
// err says of calls that OnActivate has made. It panics where err's own methods do.
func NotActivated(to ID, method string, err error, t *ErrorTable) *CallError {
	return &CallError{To: to, Method: method, Cause: fmt.Errorf("%w: %w", ErrNotExecuted, told(err, t, notRun)), Detail: "activating " + to.String()}
}

// maxCallDepth bounds how deep CallErrors inside of CallErrors are decoded.
const maxCallDepth = 4

const (
	callKind, callKey, callMethod, callDetail, callCause, callEnded, callID, callOwn = 1, 2, 3, 4, 5, 6, 7, 8

	endedCanceled, endedDeadline = 1, 2
)

// append appends the encoding. Own says that it is of the very call whose error is encoded, and not of one that
// the method has made.
func (e *CallError) append(b []byte, own bool, t *ErrorTable, f fate) []byte {
	b = AppendString(b, callKind, e.To.kind)
	b = AppendString(b, callKey, e.To.key)
	b = AppendString(b, callMethod, e.Method)
	b = AppendString(b, callDetail, e.Detail)
	if e.Cause != nil {
		b = appendMessage(b, callCause, appendError(nil, e.Cause, t, f))
	}
	switch {
	case errors.Is(e.Ended, context.Canceled):
		b = AppendUint(b, callEnded, uint(endedCanceled))
	case e.Ended != nil:
		b = AppendUint(b, callEnded, uint(endedDeadline))
	}
	if !e.Call.IsZero() {
		b = appendMessage(b, callID, appendBlockID(nil, e.Call))
	}
	return AppendBool(b, callOwn, own)
}

func decodeCallError(b []byte, t *ErrorTable, depth int) (e *CallError, own bool, err error) {
	e = &CallError{}
	err = EachField(b, func(f Field) (err error) {
		switch f.Number {
		case callKind:
			e.To.kind, err = f.String()
		case callKey:
			e.To.key, err = f.String()
		case callMethod:
			e.Method, err = f.String()
		case callDetail:
			e.Detail, err = f.String()
		case callCause:
			var m []byte
			if m, err = f.Bytes(); err == nil {
				e.Cause = decodeError(m, t, depth+1)
			}
		case callEnded:
			var n uint64
			n, err = f.Uint()
			e.Ended = context.DeadlineExceeded
			if n == endedCanceled {
				e.Ended = context.Canceled
			}
		case callID:
			e.Call, err = decodeBlockID(f)
		case callOwn:
			own, err = f.Bool()
		}
		return err
	})
	if e.Cause == nil {
		e.Cause = &RemoteError{"for a reason that is not known here"}
	}
	e.PassedOn = !own
	return e, own, err
}
