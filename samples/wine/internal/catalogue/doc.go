// Package catalogue supplies what the wine sample works on: wines, the ratings
// that people gave them, and photographs of some of the bottles.
//
// [Load] reads a directory in the format of the X-Wines data set (slim edition):
//
//	wines.csv       one wine a line, a header row with at least WineID,
//	                WineName, Type, Country and WineryName
//	ratings.csv.gz  one rating a line, gzip, a header row with at least UserID,
//	                WineID, Rating and Date
//	photos/ID.jpg   photographs of some of the wines
//
// Source: de Azambuja, R.X.; Morais, A.J.; Filipe, V. "X-Wines: A Wine Dataset
// for Recommender Systems and Machine Learning." Big Data and Cognitive Computing
// 2023, 7(1), 20. https://doi.org/10.3390/bdcc7010020.
//
// [Builtin] needs no files: it has a small list of real wines, and makes ratings
// and draws labels itself, deterministically from a seed.
//
// A catalogue is complete or there is none: a file that is torn or wrong is
// refused as a whole, with an error that names the file, the line and the fault.
package catalogue
