package registry

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// officialCodes is the list of level-1 codes that a new hub starts with.
//
//go:embed organisations.csv
var officialCodes []byte

// Bounds of a list of organisations; the rows are as many as one request carries.
const (
	maxListBytes = 16 << 20
	maxListRows  = 20_000
)

func defaultOrganisations() ([]*registryv1.Organisation, error) {
	all, err := ReadOrganisations(bytes.NewReader(officialCodes))
	if err != nil {
		return nil, fmt.Errorf("official code list: %w", err)
	}
	return all, nil
}

// ReadOrganisations reads a list in CSV (UTF-8, commas) whose first line names
// the columns: "code,name_vi", or "code,level,kind,name_vi" as in the official
// list, where level and kind are for the reader. Codes come back canonical. A
// list with mistakes is refused whole: a *fault.Error with a finding, and its
// line, for every one of them.
func ReadOrganisations(from io.Reader) ([]*registryv1.Organisation, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("read organisations: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(from, maxListBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read organisations: %w", err)
	}
	if len(content) > maxListBytes {
		return nil, fault.New(codes.InvalidArgument, "organisations_invalid",
			fmt.Sprintf("the list is larger than %d bytes; split it", maxListBytes),
			fmt.Sprintf("danh sách lớn hơn %d byte; hãy chia nhỏ", maxListBytes))
	}
	l := &list{validator: validator, first: map[string]int{}}
	l.read(content)
	if len(l.found) > 0 {
		return nil, fault.New(codes.InvalidArgument, "organisations_invalid",
			fmt.Sprintf("the list has %d mistakes; nothing was taken from it", len(l.found)),
			fmt.Sprintf("danh sách có %d lỗi; chưa ghi nhận dòng nào", len(l.found))).With(l.found)
	}
	return l.all, nil
}

// list is a list of organisations while it is read.
type list struct {
	violations
	validator protovalidate.Validator
	// Where the columns stand, and how many there are.
	code, name, columns int
	all                 []*registryv1.Organisation
	first               map[string]int // line by code
}

func (l *list) read(content []byte) {
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff"))))
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	for i := range header {
		header[i] = strings.ToLower(strings.TrimSpace(header[i]))
	}
	l.columns, l.code, l.name = len(header), slices.Index(header, "code"), slices.Index(header, "name_vi")
	if err != nil || l.code < 0 || l.name < 0 {
		l.add("", "header", strings.Join(header, ","),
			"the first line must name the columns, separated by commas: code,name_vi or code,level,kind,name_vi",
			"dòng đầu phải là tên cột, phân cách bằng dấu phẩy: code,name_vi hoặc code,level,kind,name_vi")
		l.stamp(0, 1)
		return
	}
	rows := 0
	for ; rows <= maxListRows; rows++ {
		before := len(l.found)
		line, more := l.row(reader)
		l.stamp(before, line)
		if !more {
			break
		}
	}
	switch {
	case rows == 0:
		l.add("", "min_items", "", "no organisation follows the first line", "không có cơ quan nào sau dòng đầu")
	case rows > maxListRows:
		l.add("", "max_items", "", fmt.Sprintf("at most %d organisations are taken at once; split the list", maxListRows),
			fmt.Sprintf("mỗi lần chỉ nhận tối đa %d cơ quan; hãy chia nhỏ danh sách", maxListRows))
	}
}

// stamp says which line the findings from before on are about.
func (l *list) stamp(before, line int) {
	for _, f := range l.found[before:] {
		f.Line = int32(line) //nolint:gosec // bounded by maxListBytes
	}
}

// row reads one row; more is false at the end.
func (l *list) row(reader *csv.Reader) (line int, more bool) {
	row, err := reader.Read()
	var broken *csv.ParseError
	switch {
	case errors.As(err, &broken):
		l.add("", "csv", "", "not CSV: "+broken.Err.Error(), "không đúng định dạng CSV: "+broken.Err.Error())
		return broken.StartLine, true
	case err != nil:
		return 0, false // the end: the content is in memory
	}
	line, _ = reader.FieldPos(0)
	if len(row) != l.columns {
		l.add("", "columns", strings.Join(row, ","), fmt.Sprintf("%d columns; the first line names %d", len(row), l.columns),
			fmt.Sprintf("có %d cột; dòng đầu có %d cột", len(row), l.columns))
		return line, true
	}
	l.take(line, row[l.code], strings.TrimSpace(row[l.name]))
	return line, true
}

func (l *list) take(line int, code, name string) {
	if !utf8.ValidString(code) || !utf8.ValidString(name) {
		l.add("", "utf8", "", "not UTF-8; save the list as CSV UTF-8", "không phải UTF-8; hãy lưu danh sách dạng CSV UTF-8")
		return
	}
	before := len(l.found)
	parsed, ok := l.organisation("code", code)
	l.checkName("name_vi", name)
	if !ok {
		return
	}
	one := &registryv1.Organisation{Code: parsed.String(), Name: name}
	if len(l.found) == before {
		l.validate(one)
	}
	if earlier, twice := l.first[one.GetCode()]; twice {
		l.add("code", "unique", code, fmt.Sprintf("%s stands in line %d already", parsed, earlier), fmt.Sprintf("%s đã có ở dòng %d", parsed, earlier))
	}
	l.first[one.GetCode()] = line
	l.all = append(l.all, one)
}

// validate holds an organisation to the rules of its .proto file.
func (l *list) validate(one *registryv1.Organisation) {
	var invalid *protovalidate.ValidationError
	if err := l.validator.Validate(one); errors.As(err, &invalid) {
		for _, v := range invalid.Violations {
			said := v.Proto.GetMessage()
			l.add(column(v), v.Proto.GetRuleId(), "", said, "không hợp lệ: "+said)
		}
	} else if err != nil {
		l.add("", "rules", "", err.Error(), err.Error())
	}
}

// column returns the column that a violation is in.
func column(v *protovalidate.Violation) string {
	if field := protovalidate.FieldPathString(v.Proto.GetField()); field != "name" {
		return field
	}
	return "name_vi"
}
