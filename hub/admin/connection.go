package admin

import "strings"

// Trouble is why a connection to a hub fails, in words, and what to do.
type Trouble struct {
	VI, EN, NextVI, NextEN string
}

// TroubleOf recognises, in what TLS or gRPC says, the mistakes that people make with
// addresses and profiles; false where it is something else.
func TroubleOf(said string) (Trouble, bool) {
	_, names, _ := strings.Cut(said, "x509: ")
	names, _, _ = strings.Cut(strings.TrimRight(names, `"`), "\n")
	switch {
	case containsAny(said, "certificate is valid for ", "not valid for any names", "cannot validate certificate for ", "certificate is not valid for "):
		return Trouble{
			VI: "chứng thư của trục không có tên máy chủ này (" + names + ")", EN: "the hub's certificate does not name this host (" + names + ")",
			NextVI: "khởi động trục với --host là tên này, hoặc cho hồ sơ dùng tên có trong chứng thư: lienthong node set-address HOST:PORT --profile DIR",
			NextEN: "start the hub with --host for that name, or have the profile use a name that the certificate has: lienthong node set-address HOST:PORT --profile DIR",
		}, true
	case containsAny(said, "unknown authority"):
		return Trouble{
			VI:     "chứng thư ở đó không do cơ quan chứng thực mà hồ sơ tin cậy cấp: đó là trục khác, hoặc hồ sơ thuộc trục khác",
			EN:     "the certificate there is of an unknown authority, not of the one that the profile trusts: it is another hub, or the profile is of another one",
			NextVI: "kiểm tra địa chỉ và --profile DIR",
			NextEN: "check the address, and that --profile DIR is a profile for that hub",
		}, true
	case containsAny(said, "unexpected HTTP status code", "unexpected content-type", "does not look like a TLS handshake", "missing selected ALPN", "looked like an HTTP/1.1 header"):
		return Trouble{
			VI:     "ở cổng đó không phải gRPC mà là HTTP: có lẽ là cổng REST/XML hoặc trang công khai của trục",
			EN:     "there is no gRPC at that port, but HTTP: it may be the hub's port for REST/XML clients, or for the public pages",
			NextVI: "dùng cổng gRPC của trục, thường là 8443: lienthong node set-address HOST:PORT --profile DIR",
			NextEN: "name the hub's port for nodes and administrators, which is 8443 unless it was told otherwise: lienthong node set-address HOST:PORT --profile DIR",
		}, true
	}
	return Trouble{}, false
}

func containsAny(text string, some ...string) bool {
	for _, one := range some {
		if strings.Contains(text, one) {
			return true
		}
	}
	return false
}
