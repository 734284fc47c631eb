package discovery

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Source{
		"10.0.0.1:7000":                      Static{"10.0.0.1:7000"},
		" b:2 , a:1,, ":                      Static{"b:2", "a:1"},
		"[2001:db8::1]:7000":                 Static{"[2001:db8::1]:7000"},
		"dns:7000":                           Static{"dns:7000"}, // a host may have that name
		"nats:4222,file:1":                   Static{"nats:4222", "file:1"},
		"dns:silos.example.com:7000":         DNS{Name: "silos.example.com", Port: 7000},
		"dns+srv:_silo._tcp.silos.svc.local": SRV{Name: "_silo._tcp.silos.svc.local"},
		"file:/etc/wine/silos":               File{Path: "/etc/wine/silos"},
		"file:///etc/../etc/silos":           File{Path: "/etc/silos"},
		"nats://10.0.0.9:4222/wine":          NATS{Servers: []string{"nats://10.0.0.9:4222"}, Name: "wine"},
		"tls://a:b/c@n:4222,n2:4222/w-1_x":   NATS{Servers: []string{"tls://a:b/c@n:4222", "tls://n2:4222"}, Name: "w-1_x"},
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

// What a source calls itself can be read again, and tells no password.
func TestSourcesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"b:2,a:1", "dns:silos:7000", "dns+srv:_silo._tcp.silos", "file:/etc/silos", "nats://n:4222,m:4222/wine", "tls://n:4222/wine",
	} {
		s, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, text, s.String())
	}
	s, err := Parse("nats://me:secret@n:4222/wine")
	require.NoError(t, err)
	require.Equal(t, "nats://n:4222/wine", s.String())
	for _, text := range []string{"nats://me:secret@n:4222", "ntas://me:secret@n:4222/wine", "nats://me:secret@n/wine"} {
		_, err = Parse(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestWhatIsNoSource(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":                               "name at least one",
		",":                              "no address",
		"a":                              "no host:port",
		"a:0":                            "1 to 65535",
		"a:65536":                        "1 to 65535",
		"a:-1":                           "1 to 65535",
		"a:+1":                           "1 to 65535",
		":7000":                          "host",
		"a b:7000":                       "host",
		"a:1;b:2":                        "no host:port",
		"a:1,dns:b:2":                    "no host:port",
		"http://10.0.0.1":                "nats://host:port/name",
		"a\x00:1":                        "host",
		"dns:silos":                      "dns:name:port",
		"dns:silos:http":                 "dns:name:port",
		"dns+srv:silos:7000":             "dns+srv:_service._tcp.name",
		"dns+srv:_silo._tcp.":            "dns+srv:_service._tcp.name",
		"file:":                          "file:/path",
		"file://host/path":               "file:/path",
		"nats:h:1/b":                     "nats://",
		"nats://h:1":                     "name of the cluster",
		"nats://h:1/":                    "name of the cluster",
		"nats://h:1/a.b":                 "name of the cluster",
		"nats://h:1/>":                   "name of the cluster",
		"nats:///b":                      "host:port",
		strings.Repeat("x", 1<<20) + ":": "longer than any",
	} {
		_, err := Parse(text)
		var form *FormError
		require.ErrorAs(t, err, &form, text)
		require.ErrorContains(t, err, says, text)
		require.Less(t, len(err.Error()), 1000, "an error is a line, whatever the text was")
	}
	_, err := Parse(strings.Repeat("a:1,", maxSeeds+1))
	require.ErrorContains(t, err, "more than")
}

// Whatever is read is refused, or taken as addresses that can be connected to.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a:1", "dns:a:1", "dns+srv:_a._tcp.b", "file:/a", "nats://a:1/b", "nats://u:p@a:1,[::1]:2/b", "tls://@:1/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			var form *FormError
			if !errors.As(err, &form) {
				t.Fatalf("%q: %T", text, err)
			}
			return
		}
		if list, ok := s.(Static); ok {
			for _, addr := range list {
				if _, _, err := splitAddress(addr); err != nil {
					t.Fatalf("%q: %v", text, err)
				}
			}
		}
		again, err := Parse(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q says that it is %q, which is %v (%v)", text, s, again, err)
		}
	})
}

func FuzzAnnouncement(f *testing.F) {
	for _, s := range []string{`{"addr":"a:1","ttl_ms":15000}`, `{"addr":"a:1"}`, `{"addr":"a:1","ttl_ms":0}`, `{"addr":"a:1","ttl_ms":9223372036854775807}`, `{"addr":"a:1","ttl_ms":-1}`, `[]`, `null`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnnouncement(b)
		if err != nil {
			return
		}
		if _, _, err := splitAddress(a.Addr); err != nil {
			t.Fatal(err)
		}
		if d := a.ttl(); d != 0 && (d < shortestTTL || d > longestTTL) {
			t.Fatalf("%v", d)
		}
	})
}
