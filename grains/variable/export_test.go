package variable

// CounterElement is the codec of a counter's value in graphs.
var CounterElement = int64Codec
