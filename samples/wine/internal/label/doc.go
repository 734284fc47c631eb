// Package label names the wine in a photograph of a bottle.
//
// An [Index] holds one photograph for each known wine. [Index.Match] compares an
// upload with all of them and answers with the wine, or that it knows none: the
// upload may be turned by some degrees, cropped, lighter or darker, noisy and
// compressed, but must show the label from about the same distance.
//
// # How it works
//
// Every picture is reduced to 60 x 80 grey values, and each value is replaced by
// how far it lies above or below its surroundings, in units of their contrast.
// That takes out brightness, shadows and glass, and leaves edges and lettering.
//
//  1. Rough: a 20 x 26 version is correlated with 80 versions of each known
//     photograph, turned, cropped and shifted in advance.
//  2. Exact: for the best few, the turn, the two scales and the shift that map the
//     upload onto the known photograph are refined by least squares, with a gain
//     and an offset (Lucas and Kanade, "An Iterative Image Registration Technique",
//     1981), first at 30 x 40, then at 60 x 80.
//  3. The answer is the one with the highest correlation under its map. Maps that
//     no hand-held camera makes are dropped, and a correlation below
//     [Threshold] is answered as unknown.
//
// [Disturb] makes such uploads from a photograph, [Noise], [Gradient] and [Text]
// make pictures that show no label at all; all are for demonstrations and tests.
package label
