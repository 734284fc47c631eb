package link

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/martinelli-go/martinelli/cluster/view"
)

// A silo that knows no leader, and whose guess is wrong, asks each of the others in turn, however many there are.
func TestEachSiloIsAskedWhoLeads(t *testing.T) {
	t.Parallel()
	for n := range 7 {
		var members []view.Member
		for i := range n + 1 {
			members = append(members, view.Member{Run: view.Run{ID: view.SiloID(rune('a' + i)), Incarnation: 1}, Kinds: []string{"k"}})
		}
		views := &view.Holder{}
		views.Set(view.Frozen(1, []string{"k"}, members...))
		for _, hint := range []func() (view.SiloID, bool){nil, func() (view.SiloID, bool) { return "", false }} {
			l := &Leader{Peers: Peers{Views: views}, Hint: hint}
			asked := map[view.SiloID]bool{}
			for try := range 3 * (n + 1) {
				if id, ok := l.guess(try); ok {
					asked[id] = true
				}
			}
			require.Len(t, asked, n+1)
		}
	}
}
