//go:build !race

package consensus

import "time"

const raceSlack = time.Duration(0)
