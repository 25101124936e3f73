package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// place is a violation as problem details show it.
type place struct {
	Field, Sent, MessageEn, MessageVi string
	Line, Column                      int
}

func placesOf(t *testing.T, got answer) []place {
	t.Helper()
	var all struct{ Violations []place }
	if err := json.Unmarshal([]byte(got.body), &all); err != nil {
		t.Fatal(err)
	}
	return all.Violations
}

// leaks are words of Go and of libraries, which mean nothing to who calls.
func leaks() []string {
	return []string{"strconv", "proto:", "syntax error", "invalid syntax", "invalid value", "unmarshal", "type mismatch", "uint", "token", "EOF", "Go ", "validation error"}
}

func wantNoLeak(t *testing.T, what string, p problem) {
	t.Helper()
	for _, leak := range leaks() {
		if strings.Contains(p.Detail+p.DetailVi, leak) {
			t.Errorf("%s: the answer holds %q: %s / %s", what, leak, p.Detail, p.DetailVi)
		}
	}
}

// What cannot be read under /v1 is told in both languages: what it is, where, and
// what is allowed.
func TestRESTSaysWhatCannotBeRead(t *testing.T) {
	e := startEdge(t, nil)
	const pull, submit = "/v1/deliveries:pull", "/v1/packets"
	for _, tc := range []struct {
		path, body string // a GET where the body is empty
		first      place
		count      int
	}{
		{"/v1/packets/abc", "", place{Field: "sequence", Sent: "abc", MessageEn: "a whole number from 1 to 18446744073709551615 is expected", MessageVi: "phải là số nguyên từ 1 đến 18446744073709551615"}, 1},
		{"/v1/packets/0", "", place{Field: "sequence", Sent: "0", MessageEn: "a whole number from 1 ", MessageVi: "số nguyên từ 1 "}, 1},
		{"/v1/packets/010/receipt", "", place{Field: "sequence", Sent: "010", MessageEn: "a whole number", MessageVi: "số nguyên"}, 1},
		{"/v1/packets/99999999999999999999", "", place{Field: "sequence", Sent: "99999999999999999999", MessageEn: "18446744073709551615", MessageVi: "số nguyên"}, 1},
		{"/v1/packets/1?format=yaml", "", place{Field: "format", Sent: "yaml", MessageEn: "one of FORMAT_XML, FORMAT_JSON, FORMAT_PROTOBUF is expected", MessageVi: "phải là một trong FORMAT_XML"}, 1},
		{"/v1/packets/x?format=FORMAT_XML&format=FORMAT_JSON", "", place{Field: "sequence", Sent: "x", MessageEn: "whole number", MessageVi: "số nguyên"}, 2},
		{pull, `{"max":"x"}`, place{"max", `"x"`, "a whole number from 0 to 1024 is expected", "phải là số nguyên từ 0 đến 1024", 1, 8}, 1},
		{pull, `{"waitSeconds":-1}`, place{"waitSeconds", "-1", "from 0 to 60", "từ 0 đến 60", 1, 16}, 1},
		{pull, `{"max":1.5}`, place{"max", "1.5", "a whole number", "số nguyên", 1, 8}, 1},
		{pull, "{\n \"max\": [1,{\"a\":2}],\n \"b\": {\"c\": [1]}, \"max\": 3\n}", place{"max", "", "a whole number", "số nguyên", 2, 9}, 3},
		{pull, `[1]`, place{"", "", "an object is expected", "phải là một đối tượng", 1, 1}, 1},
		{pull, `null`, place{"", "", "an object is expected", "phải là một đối tượng", 1, 1}, 1},
		{pull, `<a/>`, place{"", "", "this is XML; JSON is expected", "đây là XML; cần JSON", 1, 1}, 1},
		{pull, `{"max":1} {`, place{"", "", "is not JSON from here on", "từ đây không phải JSON", 1, 11}, 1},
		{pull, "{\"max\": 1,\n\"ế\": é}", place{"", "", "is not JSON from here on", "từ đây không phải JSON", 2, 6}, 1},
		{pull, "{\"max\": \"\xff\"}", place{"", "", "is not UTF-8 from here on", "từ đây không phải UTF-8", 1, 10}, 1},
		{submit, `{"sequence":`, place{"", "", "the JSON ends before it is complete", "JSON kết thúc khi chưa đầy đủ", 1, 13}, 1},
		{submit, `{"sequence":1}`, place{"sequence", "", "there is no such member; allowed are id, type, format, content, onBehalfOf, recipients", "không có thành phần này; cho phép id, ", 1, 2}, 1},
		{submit, `{"id":7,"content":"<>","recipients":["a",1,null],"type":"X"}`, place{"id", "7", "text in quotation marks is expected", "phải là văn bản trong dấu ngoặc kép", 1, 7}, 5},
		{submit, `{"content":"<MSyncDocument><ApplicantsId>012345678901"}`, place{"content", "", "Base64 text is expected", "phải là văn bản Base64", 1, 12}, 1},
		{submit, `{"content":{"ApplicantsId":"012345678901"}}`, place{"content", "", "Base64 text is expected", "phải là văn bản Base64", 1, 12}, 1},
		{submit, `{"id":{"ApplicantsId":"012345678901"}}`, place{"id", "", "text in quotation marks is expected", "phải là văn bản", 1, 7}, 1},
		{submit, `{"type":"PACKET_TYPE_NONE"}`, place{"type", `"PACKET_TYPE_NONE"`, "one of PACKET_TYPE_DOSSIER, ", "phải là một trong PACKET_TYPE_DOSSIER, ", 1, 9}, 1},
		{submit, `{"recipients":"G22/portal"}`, place{"recipients", `"G22/portal"`, "a list is expected", "phải là một danh sách", 1, 15}, 1},
		{"/v1/deliveries:acknowledge", `{"sequences":["1","two"]}`, place{"sequences[1]", `"two"`, "a whole number from 0 to 18446744073709551615", "số nguyên từ 0", 1, 19}, 1},
	} {
		got := e.get(tc.path)
		if tc.body != "" {
			got = e.post(tc.path, jsonType, tc.body)
		}
		p, places := got.problem(t), placesOf(t, got)
		if got.StatusCode != http.StatusBadRequest || p.Reason != "request_invalid" || len(places) != tc.count {
			t.Errorf("%s %s: got %d %s; want %d violations", tc.path, tc.body, got.StatusCode, got.body, tc.count)
			continue
		}
		first, want := places[0], tc.first
		if first.Field != want.Field || first.Sent != want.Sent || first.Line != want.Line || first.Column != want.Column ||
			!strings.Contains(first.MessageEn, want.MessageEn) || !strings.Contains(first.MessageVi, want.MessageVi) {
			t.Errorf("%s %s: the first violation is %+v; want %+v", tc.path, tc.body, first, want)
		}
		if !strings.Contains(p.Detail, first.MessageEn) || !strings.Contains(p.DetailVi, first.MessageVi) {
			t.Errorf("%s %s: the details do not say the first violation: %s / %s", tc.path, tc.body, p.Detail, p.DetailVi)
		}
		wantNoLeak(t, tc.path+" "+tc.body, p)
	}
}

func TestAQueryThatCannotBeReadIsToldInBothLanguages(t *testing.T) {
	e := startEdge(t, nil)
	got := e.get("/v1/packets/1?format=%zz")
	p := got.problem(t)
	if got.StatusCode != http.StatusBadRequest || !strings.Contains(p.Detail, "hexadecimal digits") || !strings.Contains(p.DetailVi, "thập lục phân") {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	wantNoLeak(t, "%zz", p)
}

// However many members are wrong, the answer stays small.
func TestMisreadBodiesAreToldInFewWords(t *testing.T) {
	e := startEdge(t, nil)
	got := e.post("/v1/packets", jsonType, `{"id":"`+strings.Repeat("ế", 100_000)+`\u0000","recipients":[`+strings.Repeat("1,", 10_000)+`1]}`)
	if got.StatusCode != http.StatusBadRequest || len(got.body) > 20_000 {
		t.Errorf("got %d with %d bytes", got.StatusCode, len(got.body))
	}
}

// Whatever JSON comes, it is taken, or refused without words of libraries.
func TestRESTLeaksNothingWhateverComes(t *testing.T) {
	e := startEdge(t, nil)
	values := rapid.SampledFrom([]string{
		`1`, `-1`, `1e3`, `1e400`, `"1"`, `"x"`, `""`, `true`, `null`, `[]`, `[null]`, `{}`, `{"max":1}`, `"\ud800"`, `[[1]]`, `12345678901234567890123`, `"AA=="`, `"A"`,
	})
	names := rapid.SampledFrom([]string{"max", "waitSeconds", "wait_seconds", "id", "type", "content", "recipients", "sequences", "x", "", "@type"})
	rapid.Check(t, func(rt *rapid.T) {
		var members []string
		for range rapid.IntRange(0, 4).Draw(rt, "members") {
			members = append(members, `"`+names.Draw(rt, "name")+`":`+values.Draw(rt, "value"))
		}
		body := "{" + strings.Join(members, ",") + "}"
		path := rapid.SampledFrom([]string{"/v1/packets", "/v1/deliveries:pull", "/v1/deliveries:acknowledge"}).Draw(rt, "path")
		got := e.post(path, jsonType, body)
		if got.StatusCode == http.StatusOK {
			return
		}
		var p problem
		if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.StatusCode != http.StatusBadRequest {
			rt.Fatalf("%s: got %d %s", body, got.StatusCode, got.body)
		}
		if p.DetailVi == p.Detail || p.DetailVi == "" {
			rt.Fatalf("%s: no Vietnamese in %s", body, got.body)
		}
		for _, leak := range leaks() {
			if strings.Contains(p.Detail+p.DetailVi, leak) {
				rt.Fatalf("%s: the answer holds %q: %s", body, leak, got.body)
			}
		}
	})
}
