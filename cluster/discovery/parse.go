package discovery

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Parse reads the form of a source that the package comment lists. It asks nobody. Its error is a *FormError.
func Parse(text string) (Source, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, &FormError{text, "it is empty: name at least one host:port, or a source of them: " + forms}
	}
	list, err := parseStatic(text)
	if err == nil { // first, because a host may be named as a scheme is
		return list, nil
	}
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "dns":
		host, port, err := splitAddress(rest)
		if err != nil {
			return nil, &FormError{text, err.Error() + "; the form is dns:name:port"}
		}
		return DNS{Name: host, Port: port}, nil
	case "dns+srv":
		if !isServiceName(rest) {
			return nil, &FormError{text, "the form is dns+srv:_service._tcp.name"}
		}
		return SRV{Name: rest}, nil
	case "file":
		if host, ok := strings.CutPrefix(rest, "//"); ok && !strings.HasPrefix(host, "/") || rest == "" {
			return nil, &FormError{text, "the form is file:/path/on/this/machine"}
		}
		return File{Path: filepath.Clean(rest)}, nil
	case "nats", "tls":
		return parseNATS(scheme, text)
	}
	if strings.Contains(text, "@") { // there may be a password in it
		return nil, &FormError{redact(text), "no source has this form; it is host:port,host:port or " + forms}
	}
	return nil, &FormError{text, err.Error() + "; it is host:port,host:port or " + forms}
}

const forms = "dns:name:port, dns+srv:_service._tcp.name, file:/path, nats://host:port/name"

func parseStatic(text string) (list Static, err error) {
	for addr := range strings.SplitSeq(text, ",") {
		if addr = strings.TrimSpace(addr); addr == "" {
			continue
		}
		if _, _, err := splitAddress(addr); err != nil {
			return nil, err
		}
		list = append(list, addr)
	}
	if len(list) > maxSeeds {
		return nil, fmt.Errorf("%d addresses are more than %d", len(list), maxSeeds)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("there is no address in it")
	}
	return list, nil
}

// maxAddress is how long an address may be: a name of 253 bytes, a colon and a port fit.
const maxAddress = 260

// splitAddress splits host:port, where the host is a name or an IP address and the port a number. What
// comes from a file, a name server or a message is judged by it before anything is done with it.
func splitAddress(addr string) (host string, port uint16, err error) {
	if len(addr) > maxAddress {
		return "", 0, fmt.Errorf("an address of %d bytes is longer than any", len(addr))
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no host:port", addr)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("the port of %q is no number from 1 to 65535", addr)
	}
	if _, err := netip.ParseAddr(host); err != nil && !isName(host) {
		return "", 0, fmt.Errorf("the host of %q is neither a name nor an IP address", addr)
	}
	return host, uint16(n), nil
}

// isName says whether s may be the name of a host: letters, digits, dots, hyphens and underscores.
func isName(s string) bool {
	other := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".-_", r))
	}
	return s != "" && !strings.ContainsFunc(s, other)
}

// isServiceName says whether s has the form _service._protocol.name.
func isServiceName(s string) bool {
	labels := strings.SplitN(s, ".", 3)
	return isName(s) && len(s) <= 253 && len(labels) == 3 && labels[2] != "" &&
		len(labels[0]) > 1 && labels[0][0] == '_' && len(labels[1]) > 1 && labels[1][0] == '_'
}
