package wire

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

// Of returns the engine of p.
func Of(p Place) Engine { return p.place() }
