package gateway

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// checkREST says what is wrong with the address of a call under /v1: the sequence of
// a packet in its path, and the format and the numbers in its query. grpc-gateway would
// say it in the words of its parsers.
func checkREST(c *call) error {
	query, err := queryOf(c.r.URL)
	if err != nil {
		return err
	}
	var findings []*packetv1.Finding
	if rest, ok := strings.CutPrefix(c.path, packetsRoot); ok {
		sequence, _, _ := strings.Cut(rest, "/")
		findings = append(findings, notCounted("sequence", sequence)...)
	}
	numbers := queryNumbers(c.path)
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		for _, value := range query[name] {
			findings = append(findings, notBetween(name, value, numbers[name].from, numbers[name].to)...)
		}
	}
	enum := exchangev1.Format(0).Descriptor()
	if values := query["format"]; len(values) > 1 || len(values) == 1 && !isFormat(values[0]) {
		names := enumNames(enum)
		findings = append(findings, violation("format", "in", strings.Join(values, ","), "one of "+names+" is expected", "phải là một trong "+names))
	}
	if len(findings) == 0 {
		return nil
	}
	var en, vi []string
	for _, f := range findings {
		en, vi = append(en, f.GetField()+": "+f.GetMessageEn()), append(vi, f.GetField()+": "+f.GetMessageVi())
	}
	return fault.New(codes.InvalidArgument, "request_invalid",
		"the address is not valid: "+strings.Join(en, "; "), "địa chỉ gọi không hợp lệ: "+strings.Join(vi, "; ")).With(findings)
}

// span is what a number in a query may be.
type span struct{ from, to uint64 }

// queryNumbers returns the numbers in queries of an address, in both spellings that
// grpc-gateway reads.
func queryNumbers(path string) map[string]span {
	switch {
	case strings.HasPrefix(path, ledgerRoot):
		all := map[string]span{}
		for _, name := range []string{"sequence", "size", "fromSize", "toSize", "from_size", "to_size"} {
			all[name] = span{1, math.MaxUint64}
		}
		return all
	case path == deadLetters:
		limit := (&exchangev1.ListDeadLettersRequest{}).ProtoReflect().Descriptor().Fields().ByName("limit")
		return map[string]span{"after": {0, math.MaxUint64}, "limit": {0, uint64(rulesOf(limit).GetUint32().GetLte())}}
	}
	return nil
}

// notCounted returns what is wrong with a number that counts packets; nothing where
// that is one.
func notCounted(name, value string) []*packetv1.Finding {
	return notBetween(name, value, 1, math.MaxUint64)
}

// notBetween returns what is wrong with a whole number; nothing where it is one, and in
// between.
func notBetween(name, value string, from, to uint64) []*packetv1.Finding {
	if n, err := strconv.ParseUint(value, 10, 64); err == nil && from <= n && n <= to && value == strconv.FormatUint(n, 10) {
		return nil
	}
	return []*packetv1.Finding{violation(name, "type", value,
		fmt.Sprintf("a whole number from %d to %d is expected", from, to), fmt.Sprintf("phải là số nguyên từ %d đến %d", from, to))}
}

// isFormat reports whether a query names a format, by name or number.
func isFormat(value string) bool {
	_, named := exchangev1.Format_value[value]
	n, err := strconv.ParseInt(value, 10, 32)
	_, numbered := exchangev1.Format_name[int32(n)]
	return named || err == nil && numbered
}
