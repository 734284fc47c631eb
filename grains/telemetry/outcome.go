package telemetry

import (
	"errors"

	"github.com/martinelli-go/martinelli/grains"
)

// Outcome is what became of a call.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"      // it ran
	Failed  Outcome = "failed"  // it ran, and its method returned an error, or panicked
	Refused Outcome = "refused" // it did not run, and will not
	Unknown Outcome = "unknown" // nobody can say whether it ran
)

// OutcomeOf says what became of a call that ended with err. That of another call, which the method has passed on,
// says that the method ran.
func OutcomeOf(c grains.CallInfo, err error) Outcome {
	var call *grains.CallError
	switch {
	case err == nil:
		return OK
	case c.Incoming || !errors.As(err, &call) || call.PassedOn || call.To != c.Grain:
		return Failed
	case errors.Is(call.Cause, grains.ErrUnknown):
		return Unknown
	}
	for _, refused := range refusals {
		if errors.Is(call.Cause, refused) {
			return Refused
		}
	}
	return Failed
}

// refusals are errors of calls that did not run.
var refusals = []error{
	grains.ErrNotExecuted, grains.ErrNoSuchKind, grains.ErrDenied, grains.ErrCycle, grains.ErrIncompatible, grains.ErrFenced,
}

// classes name what an error is, for error.type: few, whatever applications return.
var classes = []struct {
	is   error
	name string
}{
	{grains.ErrOverloaded, "overloaded"}, {grains.ErrNoLease, "no_lease"}, {grains.ErrNoSuchMethod, "no_such_method"},
	{grains.ErrTooLarge, "too_large"}, {grains.ErrNotExecuted, "not_executed"}, {grains.ErrNoSuchKind, "no_such_kind"}, {grains.ErrDenied, "denied"},
	{grains.ErrCycle, "cycle"}, {grains.ErrIncompatible, "incompatible"}, {grains.ErrPanic, "panic"},
	{grains.ErrStreamLost, "stream_lost"}, {grains.ErrFenced, "fenced"}, {grains.ErrUnknown, "unknown"},
}

// classOf is the class of an error; "method" for one of an application.
func classOf(err error) string {
	for _, c := range classes {
		if errors.Is(err, c.is) {
			return c.name
		}
	}
	return "method"
}
