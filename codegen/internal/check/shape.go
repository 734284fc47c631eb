package check

import (
	"fmt"
	"go/types"
	"strings"
)

// Shape is what is locked of a type: how it is encoded, so that renaming a Go type of a scalar changes
// nothing. A struct is named, and its fields are locked apart.
func (ts *Types) Shape(t *Type) string {
	if t.Recursive {
		if _, ok := t.Go.(*types.Named); ok {
			return ts.Title(t)
		}
	}
	switch t.Class {
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Uint:
		return "uint"
	case Float32:
		return "float32"
	case Float64:
		return "float64"
	case String:
		return "string"
	case Bytes:
		return "bytes"
	case ByteArray:
		return fmt.Sprintf("bytes[%d]", t.Len)
	case Time:
		return "time"
	case Error:
		return "error"
	case Ref:
		return "&" + ts.Title(t)
	case Proto:
		return "proto:" + strings.TrimPrefix(types.TypeString(t.Go, nil), "*")
	case Pointer:
		return "*" + ts.Shape(t.Elem)
	case Slice:
		return "[]" + ts.Shape(t.Elem)
	case Array:
		return fmt.Sprintf("[%d]%s", t.Len, ts.Shape(t.Elem))
	case Map:
		return "map[" + ts.Shape(t.Key) + "]" + ts.Shape(t.Elem)
	case Entry:
		return "entry[" + ts.Shape(t.Key) + "," + ts.Shape(t.Elem) + "]"
	case Pair:
		return "pair[" + ts.Shape(t.Key) + "," + ts.Shape(t.Elem) + "]"
	}
	return ts.Title(t)
}

// Title names a struct in the lock file.
func (ts *Types) Title(t *Type) string {
	if _, ok := t.Go.(*types.Named); !ok {
		return "struct{}"
	}
	s := types.TypeString(t.Go, func(p *types.Package) string {
		if p == ts.pkg {
			return ""
		}
		return p.Path()
	})
	return strings.ReplaceAll(s, " ", "")
}
