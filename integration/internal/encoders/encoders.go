// Package encoders measures generated encoders beside package proto.
package encoders

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/martinelli-go/martinelli/grains/wire"
	"github.com/martinelli-go/martinelli/integration/internal/encoders/mixed"
)

// Example returns an order in which no field is zero, and its message of package proto.
func Example() (mixed.Order, *mixed.OrderMessage) {
	o := mixed.Order{
		ID: "order-20261118-000417", Comment: "Please ring twice; the dog is friendly, the door is the blue one at the back.",
		Count: 417, Paid: true, Price: 1289.95, Photo: make([]byte, 96), At: time.Unix(1_800_000_000, 123_456_789).UTC(),
		Place:  mixed.Place{Country: "Switzerland", Lat: 46.948, Long: 7.4474},
		Scores: []int64{1, -2, 300, -40_000, 5_000_000, 6, 70, 800},
		Lines:  []mixed.Line{{Name: "Barolo 2019, six bottles", Amount: 6, Price: 54.5}, {Name: "Chasselas", Amount: 12, Price: 18.25}, {Name: "Petite Arvine from the valley", Amount: 3, Price: 31}},
	}
	for i := range o.Photo {
		o.Photo[i] = byte(i * 37)
	}
	m := &mixed.OrderMessage{
		Id: o.ID, Comment: o.Comment, Count: o.Count, Paid: o.Paid, Price: o.Price, Photo: o.Photo,
		At:     &mixed.TimeMessage{Seconds: o.At.Unix(), Nanos: int64(o.At.Nanosecond())},
		Place:  &mixed.PlaceMessage{Country: o.Place.Country, Lat: o.Place.Lat, Long: o.Place.Long},
		Scores: o.Scores,
	}
	for _, l := range o.Lines {
		m.Lines = append(m.Lines, &mixed.LineMessage{Name: l.Name, Amount: l.Amount, Price: l.Price})
	}
	return o, m
}

// Codec is the generated codec of an Order.
func Codec() wire.Codec[mixed.Order] {
	return mixed.EchoMethods()[0].(*wire.Method[mixed.Order, mixed.Order]).Args
}

var (
	order, message = Example()
	codec          = Codec()
	encoded        = codec.Append(nil, order)
)

// Encode encodes the example n times with the generated codec. It returns a sum over the results, as the
// others do, so that the work is done.
func Encode(n int) (sum int) {
	for range n {
		sum += len(codec.Append(nil, order))
	}
	return sum
}

// ProtoEncode does with proto.Marshal.
func ProtoEncode(n int) (sum int) {
	for range n {
		b, err := proto.Marshal(message)
		if err != nil {
			panic(fmt.Sprintf("proto.Marshal: %v", err))
		}
		sum += len(b)
	}
	return sum
}

// Decode decodes it n times with the generated codec.
func Decode(n int) (sum int) {
	for range n {
		o, err := codec.Decode(encoded)
		if err != nil {
			panic(fmt.Sprintf("the generated decoder: %v", err))
		}
		sum += len(o.ID)
	}
	return sum
}

// ProtoDecode does with proto.Unmarshal, into a new message each time.
func ProtoDecode(n int) (sum int) {
	for range n {
		m := &mixed.OrderMessage{}
		if err := proto.Unmarshal(encoded, m); err != nil {
			panic(fmt.Sprintf("proto.Unmarshal: %v", err))
		}
		sum += len(m.Id)
	}
	return sum
}
