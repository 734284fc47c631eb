//go:build race

package consensus

import "time"

// raceSlack is added to bounds on time where the race detector slows us down.
const raceSlack = 3 * time.Second
