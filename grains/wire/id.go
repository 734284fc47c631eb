package wire

// ID names a grain, or one variable of a family: its kind ("wine.User") and the text of its key
// ("alice"). IDs compare with == and print as kind/key.
type ID struct{ kind, key string }

// NewID returns the ID of that kind and key. The key is the text that generated code makes of a typed
// key; a kind that has one instance only has the key "".
func NewID(kind, key string) ID { return ID{kind, key} }

// Kind is the qualified name of the kind, "package.Interface".
func (i ID) Kind() string { return i.kind }

// Key is the text of the key.
func (i ID) Key() string { return i.key }

// IsZero says whether i names nothing.
func (i ID) IsZero() bool { return i == ID{} }

func (i ID) String() string {
	if i.key == "" {
		return i.kind
	}
	return i.kind + "/" + i.key
}
