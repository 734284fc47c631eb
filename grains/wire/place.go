package wire

import "context"

// Place is anything that holds variables: a client, a silo, a grain, the turn of a process, an edge
// node. It is sealed: only what embeds AtPlace or AtCaller is one.
type Place interface{ place() Engine }

// Caller is a Place from which grains can be called and atomic blocks begun. The long name of its second
// method is what a compiler prints for a Place that is none.
type Caller interface {
	Place
	grainsAndAtomicBlocksNeedANodeThatIsOnline()
}

// AtPlace is embedded by what implements Place.
type AtPlace struct{ engine Engine }

// NewPlace returns a Place on e.
func NewPlace(e Engine) AtPlace { return AtPlace{e} }

func (p AtPlace) place() Engine { return p.engine }

type atPlace = AtPlace

// AtCaller is embedded by what implements Caller.
type AtCaller struct{ atPlace }

// NewCaller returns a Caller on e.
func NewCaller(e Engine) AtCaller { return AtCaller{AtPlace{e}} }

func (AtCaller) grainsAndAtomicBlocksNeedANodeThatIsOnline() {}

// Of returns the engine of p. One that no silo, client or node made has an engine that refuses everything.
func Of(p Place) Engine {
	if e := p.place(); e != nil {
		return e
	}
	return nowhere{}
}

// nowhere is the engine of the zero Place: of a grain's struct that was made by hand, in a test say.
type nowhere struct{}

func (nowhere) Call(context.Context, ID, Invocation) error        { return ErrUnbound }
func (nowhere) Mutate(context.Context, ID, []byte) error          { return ErrUnbound }
func (nowhere) Read(context.Context, ID, func(Object)) error      { return ErrUnbound }
func (nowhere) Keys(context.Context, string) ([]string, error)    { return nil, ErrUnbound }
func (nowhere) Follow(context.Context, string) (Followed, error)  { return nil, ErrUnbound }
func (nowhere) Atomic(context.Context, Closure) error             { return ErrUnbound }
func (nowhere) Outcome(context.Context, BlockID) (Outcome, error) { return 0, ErrUnbound }
func (nowhere) Hosted(string) (Kind, bool)                        { return Kind{}, false }
