//go:build race

package main

// raceDetector: this is a test under the race detector.
const raceDetector = true
