// Command grainc generates the code of grains: it reads Go interfaces and writes what is between a call
// and the method that it reaches.
//
//	//go:generate go tool grainc .
//
// It writes grain_gen.go and grain_gen.lock into each package that it is given, both deterministic, and
// nothing when they are up to date. With -check it writes nothing at all and fails if it would have to.
// It never reads the Go file that it writes: a package is complete without it.
//
// # What it reads
//
//   - An interface X that embeds grains.Keyed[K], itself or through another interface, is a grain
//     interface. Its methods take a context first and return an error last, with at most one value
//     before it. Methods of embedded interfaces count.
//   - A struct that embeds grains.Implements[X] implements X, which may be another package's. Its fields
//     of type txn.State[T] are its transactional state. If there is a function newUser for the struct
//     user, it makes the grain, and its parameters become those of Grains: one for each name and type.
//   - A struct that is marked //crdt:lattice, directly above it, is a lattice: its fields are lattices, those
//     of package crdt, other marked structs, or one's own. Of one's own T there are the methods of
//     crdt.Lattice[*T], Append(b []byte) []byte, and beside it func DecodeT(b []byte) (*T, error); and, to be
//     a part of another, Effect(m *crdt.Minter, own *T) (*T, error) of crdt.Operation, which returns the
//     receiver if its deltas need no identity.
//   - Package-level variables of type variable.Var, variable.Family, flow.Node and dataflow.Rule.
//   - Exported errors of a package with grain interfaces: variables Err… of type error, and structs that
//     are errors, by value or by pointer.
//
// # What it writes
//
//	func GetX(c grains.Caller, key K) X        a typed reference; it makes no call
//	func (u *user) Key() K                     the typed key of an implementation
//	func Grains(mail Mailer) []grains.Kind     all that a silo hosts: Shared, grains, processes
//	func Shared() []grains.Kind                variables and operators, for clients
//	func XMethods() []wire.Handler             for implementations in other packages
//	func NewS() *S                             an empty struct of lattices, whose fields are not nil
//	func DecodeS(b []byte) (*S, error)         reads one
//	func (s *S) Join(delta *S) *S …            the methods of crdt.Lattice, Operation and Observer, Append,
//	                                           EncodedSize, and, unless they are there, String and MarshalJSON
//
// and, unexported: the stub xRef; a wire.Method for each method; encoders append…, decode…, clone… and
// codec… for each type that travels or is stored; layoutS, by which the methods of a lattice are a line each;
// errorTable. Compile-time assertions tie the file to the package (stub and implementation fit the interface)
// and to the module (a constant of package wire, whose name says what to do when it is missing).
//
// The package may use GetX, Key, Grains, Shared, NewS, DecodeS and the methods of S from the first run on, before
// there is a file that declares them, and no other name of the file. So this is a mutator of a struct of
// lattices: it changes a field, and puts the field's delta into an otherwise empty struct. A delta that says
// nothing is as good as nil.
//
//	func (s *S) Tag(as *crdt.Minter, tag string) *S { return &S{Tags: s.Tags.Add(as, tag)} }
//
//	err := Notes.At(c, key).Mutate(ctx, func(s *S, as *crdt.Minter) (*S, error) { return s.Tag(as, "new"), nil })
//
// A kind is called package.Interface; of a command, the last element of its path takes the package's
// place. Renaming either makes other grains of it: their state does not follow.
//
// # Types
//
// Encoded as protobuf fields, zero values left out, maps sorted by encoded key: booleans, signed
// integers (zigzag), unsigned integers, floats (fixed), strings, []byte, [N]byte, time.Time,
// time.Duration, error, types made of these, slices (numbers packed), arrays, maps, pointers, structs
// with exported fields (of other packages and instances of generic ones too), recursive types, and
// pointers to protobuf messages. Nil and empty slices and maps are one: they arrive as nil, on a local
// call too. A nil pointer differs from one to a zero. A time arrives in UTC and without its monotonic
// reading. An error inside a value travels by its text and its locked number; of error structs that hold
// errors themselves, the text alone. Values that contain themselves are not encodable, and encoding one
// does not end.
//
// Decoders accept hostile bytes: an error says field and offset, unknown fields are skipped, a recursive
// type ends at a depth of 1,000, and what is allocated is in proportion to the input and to the size of
// the elements. Types that hold nothing mutable are not copied on a local call; others have a clone….
//
// # Numbers
//
// grain_gen.lock holds the numbers of methods, struct fields, states and errors, with what each looked
// like: it is kept under version control. A number is never used for anything else; what was removed
// stays as a retired line. A comment directly above a method, field, type or error keeps the number over
// a rename, and may go once the lock file has the new name:
//
//	//grain:was Old
//
// Fields of lattices have numbers likewise, from 2 on. None may go, though: replicas refuse states with
// fields that they do not know, rather than lose what is in them, which is also why all silos need the new
// code before a new field is written.
//
// A Go type may change as long as its encoding does not (string to UserID, int32 to int64). Everything
// else that would misread what was sent or stored is refused. Add instead: a new field, or a method
// under a new name.
//
// The other comment, directly above a method of an interface, says that it changes nothing:
//
//	//grain:readonly
//
// # Graphs
//
// Functions of operators must be function literals or declared functions, and use no variables of the
// module: neither directly nor in what they call. The source of all of it, without comments and layout,
// is hashed into the operator's fingerprint, with the constants that are used and the shape of the
// elements, so that views made by different code are never mixed. Code of other modules is not part of
// the hash. Inputs are package-level nodes, or flow.From and flow.Each in place.
//
// # What it refuses
//
// All of it at once, as file:line:col, each with the fix.
//
//	a method without context first or error last,    add them
//	  with several results, variadic, unexported     one struct; a slice; export it
//	a channel, function, interface, any, complex     data: a struct; a call; two floats
//	  number, uintptr, unsafe.Pointer
//	a grain reference as a value                     its key, and GetX there
//	a struct with unexported fields, a lock,         export them, or leave it out; a protobuf
//	  a protobuf message by value                    message by pointer
//	a struct without a name                          declare a type
//	a float, pointer, interface or time.Time in an   an integer, the value, a struct, nanoseconds
//	  element of a set or graph, in the value of a
//	  register, or in the key of a map
//	a key that is no string, int64, [16]byte, type   one of these
//	  made of one, or struct of them
//	a generic grain interface or implementation      one for each instance
//	two implementations of one interface             another package
//	an implementation that lacks a method            its signature is printed
//	OnActivate or OnDeactivate that no silo would    its signature is printed
//	  call: another signature, another spelling
//	a txn.State inside of another type               a field of the grain itself
//	a constructor that returns an error              OnActivate(ctx) error
//	parameters of constructors with one name and     rename one
//	  two types, or without a name
//	a variable, node or rule that is blank, without  a direct call with a constant name
//	  a name, named twice, or not declared directly
//	an inner node without a variable                 a package-level variable
//	a function of a graph that captures              a constant, a function, or data
//	a changed type of a locked field, method, state  add another
//	  or error
//	//grain: or //crdt: with an unknown word, with   the nearest word, or how it is written
//	  spaces, capitals or more words, or out of
//	  place
//	//crdt:lattice above what is no struct, is       a struct of lattices
//	  generic, or has no fields
//	a field of a lattice that is no lattice, has no  the type that serves; another name
//	  name or that of a method, or is gone
//	a tag crdt:"…" on a field of a lattice           remove it: numbers are in the lock file
//	a lattice that contains itself                   keys, and a family of variables
//	a lattice of one's own without a method or a     its signature is printed
//	  decoder, or inside of another without Effect
//	a method by hand that is written for the struct  remove it
//	a name of the package that grainc declares too   rename it
//	a name of the generated file that is for         do without it
//	  generated code alone
//	variable.Replicas of less than 1                 1 or more, or variable.Everywhere
package main
