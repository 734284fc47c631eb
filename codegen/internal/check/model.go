// Package check turns a type-checked package into the model that is written out, and says, with the fix,
// everything that stands in the way.
package check

import (
	"go/token"
	"go/types"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/codegen/internal/load"
)

// Model is what grainc knows of one package.
type Model struct {
	Package    *load.Package
	Fset       *token.FileSet
	Prefix     string // of kinds
	Interfaces []*Interface
	Impls      []*Impl
	Deps       []load.Dependency // parameters of Grains
	Errors     []*ErrorDef
	Variables  []*Variable
	Nodes      []*Node
	Rules      []*Rule
	Lattices   []*LatticeStruct
	// Types holds every type that needs a codec, by its identity.
	Types *Types
}

// Empty says whether there is nothing to generate.
func (m *Model) Empty() bool {
	return len(m.Interfaces) == 0 && len(m.Impls) == 0 && len(m.Lattices) == 0 && !m.Lists()
}

// Lists says whether the package has the functions Grains and Shared.
func (m *Model) Lists() bool {
	return len(m.Impls) > 0 || len(m.Variables) > 0 || len(m.Nodes) > 0 || len(m.Rules) > 0
}

// Interface is a grain interface.
type Interface struct {
	Name    string
	Was     string
	Kind    string // "wine.User"
	Type    types.Type
	Key     types.Type
	Pos     token.Pos
	Methods []*Method
	// Reentrant says that all its methods are.
	Reentrant bool
	Version   uint32
	// Fingerprint and Lineage are known once there are numbers.
	Fingerprint, Lineage uint64
}

// Has says whether the interface has a method of that name.
func (i *Interface) Has(name string) bool {
	return slices.ContainsFunc(i.Methods, func(m *Method) bool { return m.Name == name })
}

// Method is one method of a grain interface.
type Method struct {
	Name string
	Was  string
	Pos  token.Pos
	Traits
	Params []Param // without the context
	Result *Type   // nil for an error alone; of a stream its elements
	Number uint32
}

// Param is a parameter of a method.
type Param struct {
	Name string
	Type *Type
}

// Impl is a struct that implements a grain interface.
type Impl struct {
	Name        string
	Pos         token.Pos
	Iface       types.Type
	Local       *Interface // nil if the interface is another package's
	Kind        string
	Key         types.Type
	Constructor *types.Func
	States      []*State
	IdleAfter   time.Duration
}

// State is a field of transactional state.
type State struct {
	Name, Was string
	Pos       token.Pos
	Type      *Type
	Number    uint32
}

// ErrorDef is an error that keeps its identity.
type ErrorDef struct {
	Name   string
	Was    string
	Pos    token.Pos
	Type   *Type // nil for a package-level variable
	Number uint32
}

// Variable is a package-level variable.Var or variable.Family.
type Variable struct {
	Name   string // of the Go variable
	Called string // its declared name
	Pos    token.Pos
	Func   string // that makes the kind: SetKind
	Codecs []*Type
	// Lattices are what comes after the codecs: those of lattices.
	Lattices []*Lattice
}

// Node is a package-level flow.Node.
type Node struct {
	Name        string
	Called      string
	Pos         token.Pos
	Elem        *Type
	Fingerprint uint64
	functions   []string // normal form of the source of its functions and of what they call
}

// Rule is a package-level process.
type Rule struct {
	Name   string
	Called string
	Pos    token.Pos
}

// Class is how a type is encoded.
type Class int

// The classes.
const (
	Bool Class = iota + 1
	Int
	Uint
	Float32
	Float64
	String
	Bytes
	ByteArray
	Time
	Error
	Proto
	Struct
	Pointer
	Slice
	Array
	Map
	Entry // a flow.Entry that is an element of a graph; Pair alike. Key and Elem are its parts.
	Pair
	Ref // a reference to a grain
)

// Number says whether values are numbers, which slices pack.
func (c Class) Number() bool { return c >= Bool && c <= Float64 }

// Scalar says whether package wire has a ready codec.
func (c Class) Scalar() bool { return c >= Bool && c <= Bytes || c == Time }

// Type is a type that travels or is stored.
type Type struct {
	Go        types.Type
	Class     Class
	Name      string // unique in the generated file; part of the names of its functions
	Elem, Key *Type
	Ref       types.Type // the type of the key, of a reference
	Len       int64
	Fields    []*Field
	// Unknown is the field of a struct that keeps unknown fields, "" for none.
	Unknown   string
	Mutable   bool
	Recursive bool
	// Was is the old name of a struct.
	Was string
	Pos token.Pos
}

// Field is a field of a struct.
type Field struct {
	Name, Was string
	Pos       token.Pos
	Type      *Type
	Number    uint32
}
