package packet_test

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

func TestDatesAreReadInTheFormsOfSenders(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for sent, want := range map[string]string{
		"2018-10-23T09:15:00.000+07:00":     "2018-10-23T02:15:00Z",
		"2018-10-23T09:15:00.000+0700":      "2018-10-23T02:15:00Z",
		"2018-10-23T09:15:00Z":              "2018-10-23T09:15:00Z",
		"2018-10-23T09:15:00-09:30":         "2018-10-23T18:45:00Z",
		"2018-10-23T09:15:00+14:00":         "2018-10-22T19:15:00Z",
		"2018-10-23T09:15:00.5":             "2018-10-23T02:15:00.5Z",
		"2018-10-23T09:15:00.05Z":           "2018-10-23T09:15:00.05Z",
		"2018-10-23T09:15:00.123999999999Z": "2018-10-23T09:15:00.123Z",
		"2018-10-23T24:00:00Z":              "2018-10-24T00:00:00Z",
		"2018-10-23":                        "2018-10-22T17:00:00Z",
		"20181023091500":                    "2018-10-23T02:15:00Z",
		"23/10/2018":                        "2018-10-22T17:00:00Z",
		"23/10/2018 09:15:00":               "2018-10-23T02:15:00Z",
		"23/10/2018 09:15":                  "2018-10-23T02:15:00Z",
		"2018-10-23 09:15:00":               "2018-10-23T02:15:00Z",
		"2018-10-23 09:15:00.5+00:00":       "2018-10-23T09:15:00.5Z",
		"2024-02-29":                        "2024-02-28T17:00:00Z",
		"0001-01-02":                        "0001-01-01T17:00:00Z",
		"9999-12-31T23:59:59.999+07:00":     "9999-12-31T16:59:59.999Z",
		"\n 2018-10-23 \t":                  "2018-10-22T17:00:00Z",
	} {
		m := &edgev1.MDeliveries{}
		if _, err := codec.DecodeMessage(m, xmlFormat, []byte("<MDeliveries><LeaseUntil>"+sent+"</LeaseUntil></MDeliveries>")); err != nil {
			t.Errorf("%q: %v %v", sent, err, findingsOf(err))
		} else if got := m.GetLeaseUntil().AsTime().Format(time.RFC3339Nano); got != want {
			t.Errorf("%q: got %s, want %s", sent, got, want)
		}
	}
	for _, sent := range []string{
		"2018", "2018-10", "2018-13-01", "2018-00-10", "2018-10-00", "2018-10-32", "2023-02-29", "1900-02-29", "18-10-23", "2018-1-2", "2018/10/23",
		"2018-10-23  09:15:00", "2018-10-23 9:15:00", "2018-10-23T09:15", "23/10/2018 9:15", "23/10/2018  9:15", "32/10/2018 09:15", "23/10/2018 24:15", "2018-10-23T9:15:00Z", "2018-10-23T25:00:00Z", "2018-10-23T24:00:01Z", "2018-10-23T09:60:00Z",
		"2018-10-23T09:15:60Z", "2018-10-23T09:15:00.Z", "2018-10-23T09:15:00z", "2018-10-23T09:15:00+7", "2018-10-23T09:15:00+15:00",
		"2018-10-23T09:15:00+14:01", "2018-10-23T09:15:00+07:60", "2018-10-23T09:15:00+07:00x", "2018-10-23t09:15:00Z", "-2018-10-23", "+2018-10-23",
		"10/23/2018", "23-10-2018", "23/10/18", "23/10/2018 9:15:00", "23/10/2018T09:15:00", "2018102309150", "201810230915001", "20181323091500",
		"9999-12-31T23:59:59-12:00", "0001-01-01T00:00:01", "hôm nay", "1540260900", "२०१८-10-23", strings.Repeat("0", 7), strings.Repeat("1", 1000),
	} {
		m := &edgev1.MDeliveries{}
		_, err := codec.DecodeMessage(m, xmlFormat, []byte("<MDeliveries><LeaseUntil>"+sent+"</LeaseUntil></MDeliveries>"))
		if !hasFinding(findingsOf(err), "MDeliveries.LeaseUntil", "datetime") {
			t.Errorf("%q: got %v, %v; want it refused", sent, m, err)
		}
	}
}

func TestWrittenDatesAreReadAsTheSameTimeWithoutALiberty(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, strict())
	rapid.Check(t, func(t *rapid.T) {
		m := &edgev1.MDeliveries{LeaseUntil: moment(t)}
		content, err := codec.Encode(m, xmlFormat)
		if err != nil {
			t.Fatalf("write: %v", err)
		}
		again := &edgev1.MDeliveries{}
		if _, err := codec.DecodeMessage(again, xmlFormat, content); err != nil || !again.GetLeaseUntil().AsTime().Equal(m.GetLeaseUntil().AsTime()) {
			t.Fatalf("%s: %v %v", content, again, err)
		}
	})
}

func TestDecimalsKeepTheirDigits(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	read := func(sent string) (string, error) {
		m := &packetv1.MSyncDocument{}
		content := strings.Replace(string(sample(t, "dossier.xml").Content), "<Price>80000<", "<Price>"+sent+"<", 1)
		_, err := codec.DecodeMessage(m, xmlFormat, []byte(content))
		if err != nil {
			return "", err
		}
		return m.GetDocFees()[0].GetPrice(), nil
	}
	long := strings.Repeat("9", 100) + "." + strings.Repeat("0", 27)
	for sent, want := range map[string]string{
		"0": "0", "-0.10": "-0.10", "007": "007", "80000.00": "80000.00", long: long, "1.5E3": "1500", "15e-1": "1.5", "-1.25e+1": "-12.5",
		"+1": "1", ".5": "0.5", "-.5": "-0.5", "5.": "5", "+007.50": "007.50", "1E0": "1", "1e-3": "0.001", "0e5": "0", " 1 ": "1",
	} {
		if got, err := read(sent); got != want || err != nil {
			t.Errorf("%q: got %q, %v; want %q", sent, got, err, want)
		}
	}
	for _, sent := range []string{
		"x", "-", "+", ".", "-.", "1,5", "1.000.000", "1 000", "--1", "+-1", "1e", "e1", "1e1.5", "0x10", "1_000", "٣", "5%", "NaN", "INF", "1e200", "1e-200", long + "0",
	} {
		if got, err := read(sent); !hasFinding(findingsOf(err), "MSyncDocument.DocFees[0].Price", "decimal") {
			t.Errorf("%q: got %q, %v; want it refused", sent, got, err)
		}
	}
}

func TestIntegersAreThoseOf32Bits(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for sent, want := range map[string]int32{
		"0": 0, "-0": 0, "+5": 5, "007": 7, "2147483647": 1<<31 - 1, "-2147483648": -1 << 31, "3.000": 3, "-3.0": -3, "+3.0": 3, " 4\t": 4, "0000000000000000000000005": 5,
	} {
		m := &packetv1.MResult{}
		if _, err := codec.DecodeMessage(m, xmlFormat, []byte("<MResult><Status>"+sent+"</Status></MResult>")); err != nil || m.GetStatus() != want {
			t.Errorf("%q: got %d, %v %v; want %d", sent, m.GetStatus(), err, findingsOf(err), want)
		}
	}
	for sent, rule := range map[string]string{
		"2147483648": "int.range", "-2147483649": "int.range", strings.Repeat("9", 400): "int.range", "1.5": "int", "x": "int", "1e3": "int", "--1": "int", "+": "int",
		"++1": "int", "+-1": "int", ".0": "int", "1.": "int", "0x1": "int", "1_0": "int", "٣": "int", "1 2": "int", "NaN": "int",
	} {
		_, err := codec.DecodeMessage(&packetv1.MResult{}, xmlFormat, []byte("<MResult><Status>"+sent+"</Status></MResult>"))
		if !hasFinding(findingsOf(err), "MResult.Status", rule) {
			t.Errorf("%.20q: got %v %v; want %s", sent, err, findingsOf(err), rule)
		}
	}
}

// TestBase64IsCheckedAsDecodingWould compares with encoding/base64.
func TestBase64IsCheckedAsDecodingWould(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := string(sample(t, "progress.xml").Content)
	if content == "" {
		t.Fatal("no sample")
	}
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.OneOf(
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 9), base64.StdEncoding.EncodeToString),
			rapid.StringMatching(`[AQgw+/=_\-b \n]{1,10}`),
		).Draw(t, "sent")
		document := `{"Attachments": [{"Base64": ` + strconv.Quote(sent) + `}]}`
		_, err := codec.Decode(dossier, jsonFormat, []byte(document))
		got := hasFinding(findingsOf(err), "MSyncDocument.Attachments[0].Base64", "base64")
		plain := strings.NewReplacer(" ", "", "\n", "").Replace(sent)
		_, wrong := base64.StdEncoding.Strict().DecodeString(plain)
		if want := wrong != nil || plain == ""; got != want {
			t.Fatalf("%q: refused %t; decoding says %v", sent, got, wrong)
		}
	})
}
