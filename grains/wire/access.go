package wire

// Access is something that is asked for from outside the silos; see grains.Call.
type Access struct {
	Principal string
	Grain     ID
	Method    string
	Variable  ID
}

func (a Access) String() string {
	who := "somebody"
	if a.Principal != "" {
		who = a.Principal
	}
	switch {
	case !a.Variable.IsZero():
		return who + " writing " + a.Variable.String()
	case a.Method == "":
		return who + " changing " + a.Grain.String() + " in an atomic block of its own"
	}
	return who + " calling " + a.Grain.String() + "." + a.Method
}
