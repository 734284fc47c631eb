package actor

import "errors"

// startRemote opens a node over TCP.
func startRemote(*Node) error {
	return errors.New("actor: this build has no TCP transport: set Config.Network")
}
