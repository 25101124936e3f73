package admin_test

import (
	"strings"
	"testing"

	"github.com/lienthong/lienthong/hub/admin"
)

// The mistakes that are known are told apart; what is something else is left as it is.
func TestTroubleOf(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		`connection error: desc = "transport: authentication handshake failed: certificate does not name one valid identity: x509: certificate is valid for hub.example, not 10.0.0.1"`: "does not name this host (certificate is valid for hub.example, not 10.0.0.1)",
		"certificate of an unknown authority: x509: certificate signed by unknown authority":                                                                                            "is another hub",
		"unexpected HTTP status code received from server: 404 (Not Found)":                                                                                                             "but HTTP",
		"dial tcp 127.0.0.1:1: connect: connection refused":                                                                                                                             "",
		"context deadline exceeded": "",
	} {
		trouble, known := admin.TroubleOf(said)
		if known != (want != "") || !strings.Contains(trouble.EN, want) {
			t.Errorf("%q: %+v, %t; want %q", said, trouble, known, want)
		}
		if known && (trouble.VI == "" || trouble.NextVI == "" || trouble.NextEN == "" || trouble.VI == trouble.EN) {
			t.Errorf("%q: %+v; want both languages, and what to do", said, trouble)
		}
	}
}

// What commands print of sizes is read again.
func TestSizesAreReadAsTheyArePrinted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		"20971520": 20 << 20, "500KiB": 500 << 10, "64 GiB": 64 << 30, "8.0 MiB": 8 << 20, "1.5GiB": 3 << 29, "512 bytes": 512,
		"18446744073709551615": 1<<64 - 1, "16777215.9 TiB": 16777215<<40 + 9*(1<<40)/10,
	} {
		if got, err := admin.ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "GiB", "1.5", "1.55 GiB", "1. GiB", ".5 GiB", "1.-5 GiB", "64  GiB", "64 GB", "-1 KiB", "+1", "16777216 TiB", "1.+ KiB"} {
		if got, err := admin.ParseBytes(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}
