package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Silos know each other by names, which each process resolves for itself: silo a finds silo b at an
// address at which the proxy of that pair listens. So the silos' lists agree, and the proxy knows who
// dials, without a silo that knows of it.
const domain = ".chaos"

// nameOf is the host name of a silo, from 1.
func nameOf(silo int) string { return "silo-" + strconv.Itoa(silo) + domain }

// proxied is where silo from finds silo to: on loopback, of which Linux gives every process all of 127/8.
func proxied(from, to int) net.IP { return net.IPv4(127, 88, byte(from), byte(to)) }

// direct is where silos listen, and where they are found by who is not cut off.
var direct = net.IPv4(127, 0, 0, 1)

// resolver answers for the silos' names, as silo self is to see them; 0 sees them all directly. It knows
// no other names.
func resolver(self int) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			answer(ours, self)
		}()
		return theirs, nil
	}}
}

// answer serves DNS over a stream (RFC 1035, 4.2.2) until the resolver hangs up.
func answer(conn io.ReadWriter, self int) {
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply, err := respond(query, self)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// Parts of a DNS message (RFC 1035, 4.1).
const (
	dnsHeader   = 12
	dnsAnswer   = 0x8580 // a response, authoritative
	dnsNoName   = 3
	dnsA        = 1
	dnsInternet = 1
	dnsQuestion = 0xc000 | dnsHeader // the name that stands in the question
)

// respond answers a query with one question.
func respond(query []byte, self int) ([]byte, error) {
	if len(query) < dnsHeader {
		return nil, fmt.Errorf("a query of %d bytes", len(query))
	}
	var labels []string
	at := dnsHeader
	for {
		if at >= len(query) || at+1+int(query[at]) > len(query) || query[at] > 63 {
			return nil, fmt.Errorf("a name that does not end in the query")
		}
		n := int(query[at])
		at++
		if n == 0 {
			break
		}
		labels = append(labels, string(query[at:at+n]))
		at += n
	}
	if at+4 > len(query) {
		return nil, fmt.Errorf("a question without type and class")
	}
	kind := binary.BigEndian.Uint16(query[at:])
	question := query[dnsHeader : at+4]

	to, known := siloNamed(strings.Join(labels, "."))
	flags, answers := uint16(dnsAnswer), uint16(0)
	if !known {
		flags |= dnsNoName
	} else if kind == dnsA {
		answers = 1
	}
	b := append([]byte(nil), query[:2]...)
	for _, v := range []uint16{flags, 1, answers, 0, 0} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = append(b, question...)
	if answers > 0 {
		ip := direct
		if self != 0 && self != to {
			ip = proxied(self, to)
		}
		for _, v := range []uint16{dnsQuestion, dnsA, dnsInternet, 0, 1, 4} { // which holds for a second
			b = binary.BigEndian.AppendUint16(b, v)
		}
		b = append(b, ip.To4()...)
	}
	return b, nil
}

// siloNamed is the silo of a host name.
func siloNamed(name string) (silo int, ok bool) {
	number, ok := strings.CutPrefix(strings.ToLower(name), "silo-")
	if !ok {
		return 0, false
	}
	if number, ok = strings.CutSuffix(number, domain); !ok {
		return 0, false
	}
	silo, err := strconv.Atoi(number)
	return silo, err == nil && silo > 0 && silo < 256
}
