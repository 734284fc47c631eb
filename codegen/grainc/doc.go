// Command grainc generates the code of grains.
package main
