// Command grainc generates the code of grains: it reads Go interfaces and writes what is between a call
// and the method that it reaches.
//
//	//go:generate go tool grainc .
//
// It writes grain_gen.go and grain_gen.lock into each package that it is given, both deterministic, and
// nothing when they are up to date. With -check it writes nothing at all and fails if it would have to. It prints
// what changes on the wire and in what is stored, with -check too, and fails for errors; warnings are printed,
// and are errors with -strict. It never reads the Go file that it writes: a package is complete without it.
//
// # What it reads
//
//   - An interface X that embeds grains.Keyed[K], itself or through another interface, is a grain
//     interface. Its methods take a context first and return an error last, with at most one value
//     before it, or an iter.Seq2[T, error] alone, a stream. Methods of embedded interfaces count, with the
//     comments above them, wherever those are declared.
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
//	func ParseX(c grains.Caller, text string) (X, error)
//	                                           the reference that prints as text: "wine.User/alice"
//	func (u *user) Key() K                     the typed key of an implementation
//	func Grains(mail Mailer) []grains.Kind     all that a silo hosts: Shared, grains, processes
//	func Shared() []grains.Kind                variables and operators, for clients
//	func XMethods() []wire.Handler             for implementations in other packages
//	func XRefType() *wire.RefType[X]           for packages that pass references to X on
//	func NewS() *S                             an empty struct of lattices, whose fields are not nil
//	func DecodeS(b []byte) (*S, error)         reads one
//	func (s *S) Join(delta *S) *S …            the methods of crdt.Lattice, Operation and Observer, Append,
//	                                           EncodedSize, and, unless they are there, String and MarshalJSON
//
// and, unexported: the stub xRef; a wire.Interface for each interface, a wire.Method or a wire.StreamMethod for
// each method; encoders append…, decode…, clone… and
// codec… for each type that travels or is stored; layoutS, by which the methods of a lattice are a line each;
// errorTable. Compile-time assertions tie the file to the package (stub and implementation fit the interface)
// and to the module (a constant of package wire, whose name says what to do when it is missing).
//
// The package may use GetX, ParseX, Key, Grains, Shared, NewS, DecodeS and the methods of S from the first run on, before
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
// pointers to protobuf messages; in arguments, results and streams also references to grains, which are values
// of grain interfaces. A reference travels as its key, and is given to its receiver as that one's own: it calls
// through it as itself. References of one caller to one grain are equal. Nil and empty slices and maps are one: they arrive as nil, on a local
// call too. A nil pointer differs from one to a zero. A time arrives in UTC and without its monotonic
// reading. An error inside a value travels by its text and its locked number; of error structs that hold
// errors themselves, the text alone. Values that contain themselves are not encodable, and encoding one
// does not end.
//
// Decoders accept hostile bytes: an error says field and offset, unknown fields are skipped, or kept and written
// back where the struct has a grains.Unknown, a recursive
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
// Renames are made all at once, so in a chain (B was A, and C was B) each keeps its own number. Two that change
// names need two steps, through a third name. The name of a grain interface is part of what its grains are called:
// one that is renamed has other grains, and what was stored of the old ones stays with the old name.
//
// Fields of lattices have numbers likewise, from 2 on. None may go, though: replicas refuse states with
// fields that they do not know, rather than lose what is in them, which is also why all silos need the new
// code before a new field is written.
//
// A Go type may change as long as its encoding does not (string to UserID, int32 to int64). Everything
// else that would misread what was sent or stored is refused. Add instead: a new field, or a method
// under a new name. So is a key of another form, by which grains would not be found: the form of an interface's
// keys is locked too. What the directives of its methods are is noted there, and what has changed of it is printed.
//
// An interface also has a lineage there: the fingerprint that it had when its first numbers were given.
// Callers and silos whose interfaces are of one lineage can talk, whatever has been added to either; those of
// two lineages, which a new lock file makes, are refused. The fingerprint is a hash of the methods with their
// numbers, names, traits and what they take and return, by how that is encoded: neither the order nor comments
// nor the names of Go types are part of it.
//
// # Directives
//
// Comments directly above what they are about, without a space after the slashes:
//
//	//grain:readonly     a method that changes nothing: several run side by side, and a call whose fate is
//	                     unknown is made again
//	//grain:reentrant    a method, or all of an interface: while it waits for a call that it makes, other
//	                     calls of its grain run
//	//grain:oneway       a method that nobody waits for; it returns an error alone, which says whether the
//	                     call was sent
//	//grain:idempotent   a method that does twice what it does once: a call whose fate is unknown is made
//	                     again
//	//grain:version 2    a grain interface, for people: errors about interfaces that cannot talk name it
//	//grain:idle 5m      an implementation: for how long its grains are kept without calls, a second or more;
//	                     else it is as long as the silo's Config says
//	//grain:was Old      what was called Old
//	//crdt:lattice       a struct of lattices
//
// # Other languages
//
// With -proto FILE it also writes FILE, a description of a package's interfaces that protoc takes: a service for
// each interface, whose methods have requests, responses and streams of responses, and the messages that the
// encoders read and write, with the same numbers. Numbers that are retired are reserved.
//
//	//go:generate go tool grainc -proto wine.proto .
//
// So a program in another language calls a grain:
//
//   - It opens a TCP connection to a silo, with TLS where the silos have it, and shakes hands as a client
//     (actor/handshake.go): it sends "martinelli", the bytes 2 (the version), 0 (calls) and 0 (a client), and 16
//     random bytes, reads 18 bytes of which the first is 1 if it is welcome, sends 32 bytes of
//     proof, for a client any, and reads 33 bytes.
//   - From then on it sends frames, each the byte 6, four zeros, the length in four bytes, the highest first, and
//     a message Envelope (actor/envelope.proto); pings, of which the byte is 4, it answers by the byte 5. Its
//     first Envelope is a KIND_HELLO. A call is a KIND_REQUEST for service 5, whose payload is a CallRequest
//     (cluster/link): the kind and the key of the grain, the number of the method and, as args, the method's
//     request. An argument that is the only one, and a struct, is the request itself; other arguments are its
//     fields, in their order from 1 on.
//   - The answer comes over a connection that the silo opens, in the same way, to the address that the call gave
//     as its sender: a KIND_REPLY with the same id, and a CallReply in it. Status 1 has a result, the method's
//     response; status 2 an error, the message Error: what it is, of the errors of the package, is in known by
//     the numbers that the description lists. All other statuses say that the method has not run, or that this
//     is unknown (5). Status 3 names the silo that has the grain now: it is sent there again.
//   - A key is text: a string as it is, an int64 in decimal, 16 bytes in lower-case hex, a struct as its fields
//     joined by commas, where a comma or a backslash inside of a string has a backslash before it.
//
// Strings of other languages are UTF-8; those that Go sends have to be, too, to be read there.
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
//	a stream without errors, with other results,     iter.Seq2[T, error], alone
//	  that is no result, or by another name
//	a channel, function, interface, any, complex     a stream; data: a struct; a call; two floats
//	  number, uintptr, unsafe.Pointer
//	a grain reference in a state, an error, a        its key, and GetX there
//	  variable, a graph or the key of a map, or of
//	  an interface without a name
//	a struct with unexported fields, a lock,         export them, or leave it out; a protobuf
//	  a protobuf message by value                    message by pointer
//	grains.Unknown that is no field of a struct, or  embed one
//	  that is there twice
//	a struct without a name                          declare a type
//	a type of another package that is not exported   export it, or one of your own
//	a float, pointer, interface, channel, slice or   an integer, the value, a struct, a string,
//	  time.Time in an element of a set or graph, in  nanoseconds
//	  the value of a register, or in the key of a
//	  map
//	a key that is no string, int64, [16]byte, type   one of these
//	  made of one, or struct of them
//	keys of two types in one interface               one
//	a generic grain interface or implementation      one for each instance
//	GetX of an interface without grains.Keyed        embed it
//	two implementations of one interface             another package
//	grains.Implements of what is no grain interface, embed grains.Keyed there; export it;
//	  or is not exported, or of a pointer to it      the interface
//	grains.Implements as a pointer or a named field  embed it by value
//	an implementation that lacks a method            its signature is printed
//	OnActivate or OnDeactivate that no silo would    its signature is printed
//	  call (another signature, another spelling), or
//	  with a receiver that is a copy
//	HandOver or TakeOver that no silo would call,    its signature is printed
//	  or one without the other
//	a method Key, or a field, of an implementation,  another name
//	  or a method Key of a grain interface
//	a txn.State inside of another type, or embedded  a named field of the grain itself
//	a constructor that returns an error, or is       OnActivate(ctx) error; parameters
//	  variadic or generic
//	parameters of constructors with one name and     rename one
//	  two types, or without a name
//	a variable, node or rule that is blank, without  a direct call with a constant name
//	  a name, named twice, or not declared directly
//	an inner node without a variable                 a package-level variable
//	a function of a graph that captures              a constant, a function, or data
//	a changed type of a locked field, method, state  add another; //grain:was above a type that has
//	  or error                                       another name, where that is all
//	a changed key of a grain interface               another interface
//	an old name that is not locked, that something   the right one, or none; a third name in between
//	  has still, that two say they had, or that
//	  changes places
//	//grain: or //crdt: with an unknown word, with   the nearest word, or how it is written
//	  spaces, capitals or more words, twice, or out
//	  of place
//	//grain:oneway with a result, a stream,          remove one
//	  //grain:readonly or //grain:idempotent
//	a version that is no number from 1 on, a time    one
//	  that is none, or under a second
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
//	what the compiler refuses, in a package with     what it says
//	  grains
//
// # What it warns of
//
//	a context from outside of an atomic block that   the context that the block's function is given
//	  is passed on inside of it
//	an exported constructor of an implementation     write the one that is called, newX
//	  that has no other
//	a grain interface that was called otherwise      the old name, if its grains are to be found
//	a lock file that is gone, beside a grain_gen.go  restore it
//	  with numbers
package main
