package packet

import "fmt"

// Rules that reading itself enforces; stable across releases. Rules of the .proto
// files are reported by their own ids.
const (
	ruleSyntax       = "syntax"
	ruleEncoding     = "encoding"
	ruleCharacter    = "character"
	ruleDoctype      = "xml.doctype"
	ruleInstruction  = "xml.instruction"
	ruleAttribute    = "xml.attribute"
	ruleNamespace    = "xml.namespace"
	rulePrefix       = "xml.prefix"
	ruleMixed        = "xml.mixed"
	ruleOrder        = "xml.order"
	ruleDuplicate    = "json.duplicate"
	ruleWrapper      = "json.wrapper"
	ruleType         = "type"
	ruleSingle       = "json.single"
	ruleRoot         = "root"
	ruleDepth        = "limit.depth"
	ruleElements     = "limit.elements"
	ruleAttributes   = "limit.attributes"
	ruleText         = "limit.text"
	ruleCopied       = "limit.copied"
	ruleName         = "limit.name"
	ruleSize         = "limit.size"
	ruleAttachment   = "limit.attachment"
	ruleFindings     = "limit.findings"
	ruleAlias        = "name.alias"
	ruleCase         = "name.case"
	ruleUnknown      = "unknown"
	ruleRepeated     = "repeated"
	ruleRequired     = "required"
	ruleAbsent       = "absent"
	ruleSpace        = "whitespace"
	ruleBlank        = "blank"
	ruleInteger      = "int"
	ruleRange        = "int.range"
	ruleBoolean      = "bool"
	ruleDecimal      = "decimal"
	ruleDatetime     = "datetime"
	ruleBase64       = "base64"
	ruleOrganisation = "organisation"
	ruleProtobuf     = "protobuf.unknown"

	ruleUnknownPacket = "packet.unknown"
)

const (
	maxDepth      = 32
	maxElements   = 10_000
	maxAttributes = 16
	maxNameBytes  = 256
	maxPrefixes   = 16
)

func textRepeated(name string) text {
	return text{name + " may appear only once here", name + " chỉ được xuất hiện một lần tại đây"}
}

func textRequired(f *field) text {
	if f.Nullable {
		return text{"is required; an empty element means no date", "bắt buộc phải có; phần tử rỗng nghĩa là chưa có ngày"}
	}
	if f.kind == kindText {
		return text{"is required", "bắt buộc phải có"}
	}
	t := textType(f)
	return text{"is required: " + t.en, "bắt buộc, " + t.vi}
}

// textType says what is allowed in a field.
func textType(f *field) text {
	switch f.kind {
	case kindInteger:
		return textInteger()
	case kindBoolean:
		return textBoolean()
	case kindDatetime:
		return textDatetime()
	case kindDecimal:
		return textDecimal()
	case kindBase64:
		return text{"Base64 text is expected", "phải là văn bản Base64"}
	case kindOrganisation:
		return textOrganisation()
	case kindPart:
		return text{f.part.name + " with its elements is expected", "phải là " + f.part.name + " với các thành phần của nó"}
	default:
		return text{"text is expected", "phải là văn bản"}
	}
}

func textBase64(wrong base64Defect) text {
	switch wrong {
	case base64Alphabet:
		return text{"holds a character that Base64 does not have; allowed are A-Z a-z 0-9 + / = and white space",
			"có ký tự không thuộc Base64; cho phép A-Z a-z 0-9 + / = và khoảng trắng"}
	case base64Bits:
		return text{"ends in bits that belong to no byte; the Base64 text is damaged", "phần cuối không tạo thành byte; văn bản Base64 bị hỏng"}
	default:
		return text{"is cut off or wrongly padded; Base64 comes in groups of four characters, the last filled up with =",
			"bị cắt cụt hoặc đệm sai; Base64 gồm các nhóm bốn ký tự, nhóm cuối được đệm bằng ="}
	}
}

func textAttachment(size, limit int) text {
	return text{fmt.Sprintf("stands for %d bytes; at most %d are allowed", size, limit), fmt.Sprintf("chứa %d byte; cho phép tối đa %d byte", size, limit)}
}

func textDuplicate(name string) text {
	return text{"member " + name + " appears twice in one object", "thành phần " + name + " xuất hiện hai lần trong một đối tượng"}
}

func textRoot(want string) text {
	return text{"the root must be " + want, "phần tử gốc phải là " + want}
}

// textTypeNot says that an element stands where a value is expected.
func textTypeNot(f *field, name string) text {
	t := textType(f)
	return text{t.en + ", not element " + cut(name) + "; or the end tag of " + f.name + " is missing",
		t.vi + ", không phải phần tử " + cut(name) + "; hoặc thiếu thẻ đóng của " + f.name}
}

func textTooDeep() text {
	return text{fmt.Sprintf("elements are nested more than %d deep", maxDepth), fmt.Sprintf("các phần tử lồng nhau quá %d mức", maxDepth)}
}

func textTooMany() text {
	return text{fmt.Sprintf("there are more than %d elements", maxElements), fmt.Sprintf("có quá %d phần tử", maxElements)}
}

func textTooManyAttributes() text {
	return text{fmt.Sprintf("an element has more than %d attributes; the standard has none", maxAttributes),
		fmt.Sprintf("một phần tử có quá %d thuộc tính; chuẩn không dùng thuộc tính", maxAttributes)}
}

func textTooLong(limit int) text {
	return text{fmt.Sprintf("the text is longer than %d bytes", limit), fmt.Sprintf("nội dung dài quá %d byte", limit)}
}

func textCopied(limit int) text {
	return text{
		fmt.Sprintf("in a large packet, texts with references or escapes may have %d bytes in all; write attachments as plain Base64, in XML or JSON in UTF-8", limit),
		fmt.Sprintf("trong gói tin lớn, các nội dung có tham chiếu hoặc ký tự thoát chỉ được có tổng cộng %d byte; hãy ghi tệp đính kèm bằng Base64 thuần, trong XML hoặc JSON dùng UTF-8", limit),
	}
}

func textName() text {
	return text{fmt.Sprintf("a name is longer than %d bytes", maxNameBytes), fmt.Sprintf("tên dài quá %d byte", maxNameBytes)}
}

func textSize(size, limit int) text {
	return text{fmt.Sprintf("the packet has %d bytes; at most %d are allowed", size, limit),
		fmt.Sprintf("gói tin có %d byte; cho phép tối đa %d byte", size, limit)}
}

func textIllegal(char rune) text {
	return text{fmt.Sprintf("character U+%04X is not allowed in XML 1.0", char), fmt.Sprintf("ký tự U+%04X không được phép trong XML 1.0", char)}
}

func textDeclared(encoding string) text {
	return text{fmt.Sprintf("encoding %q is declared; allowed are UTF-8, and UTF-16 with a byte order mark", cut(encoding)),
		fmt.Sprintf("khai báo mã hóa %q; cho phép UTF-8, hoặc UTF-16 có dấu thứ tự byte (BOM)", cut(encoding))}
}

func textDoctype() text {
	return text{"a DOCTYPE is not allowed", "không cho phép DOCTYPE"}
}

func textInstruction() text {
	return text{"processing instructions are not allowed, only the XML declaration at the very start", "không cho phép chỉ thị xử lý; chỉ cho phép khai báo XML ở ngay đầu"}
}

func textMixed() text {
	return text{"text stands between elements where only elements are allowed", "có văn bản xen giữa các phần tử, nơi chỉ cho phép phần tử"}
}

func textDateRequired() text {
	return text{"a date is required; 0001-01-01 is an unset date", "bắt buộc phải có ngày; 0001-01-01 là ngày chưa được gán"}
}

func textEmpty() text {
	return text{"must not be empty", "không được để trống"}
}

func textCharacter() text {
	return text{"holds a character that XML 1.0 does not allow", "có ký tự không được phép trong XML 1.0"}
}

func textInteger() text {
	return text{"a whole number is expected", "phải là số nguyên"}
}

func textRange() text {
	return text{"is out of range: -2147483648 to 2147483647 are allowed", "ngoài phạm vi: cho phép từ -2147483648 đến 2147483647"}
}

func textBoolean() text {
	return text{"true or false is expected (in XML also 1 or 0)", "phải là true hoặc false (trong XML có thể là 1 hoặc 0)"}
}

func textDecimal() text {
	return text{"a decimal number with a point is expected, e.g. 95.5", "phải là số thập phân dùng dấu chấm, ví dụ 95.5"}
}

func textDatetime() text {
	return text{"a date with time and offset is expected, e.g. 2018-10-23T09:15:00.000+07:00",
		"phải là ngày giờ có múi giờ, ví dụ 2018-10-23T09:15:00.000+07:00"}
}

func textYears() text {
	return text{"is out of range: after 0001-01-01T07:00:00+07:00 and before 10000-01-01T00:00:00+07:00 is allowed",
		"ngoài phạm vi: chỉ cho phép sau 0001-01-01T07:00:00+07:00 và trước 10000-01-01T00:00:00+07:00"}
}

func textOrganisation() text {
	return text{"an organisation code is expected: level1.level2.level3.level4 (G12.18), or with zeros for unused levels level4.level3.level2.level1 (000.00.18.G12)",
		"phải là mã cơ quan: cấp1.cấp2.cấp3.cấp4 (G12.18), hoặc cấp4.cấp3.cấp2.cấp1 với số 0 cho cấp không dùng (000.00.18.G12)"}
}

func textUTF8() text {
	return text{"the bytes are not UTF-8", "dữ liệu không phải UTF-8"}
}

func textUTF16() text {
	return text{"the bytes are not UTF-16", "dữ liệu không phải UTF-16"}
}

func textNoMark() text {
	return text{"UTF-16 needs a byte order mark; UTF-8 needs none", "UTF-16 phải có dấu thứ tự byte (BOM); UTF-8 thì không cần"}
}

func textJSONUTF8() text {
	return text{"JSON has to be UTF-8", "JSON phải dùng mã hóa UTF-8"}
}

func textWrapper() text {
	return text{"the members stand in an object of their own; they belong directly in the outer one", "các thành phần nằm trong một đối tượng riêng; chúng phải nằm trực tiếp trong đối tượng ngoài cùng"}
}

func textNotArray() text {
	return text{"an array is not allowed here", "không cho phép mảng tại đây"}
}

func textObject() text {
	return text{"an object with the members of the packet is expected", "phải là một đối tượng với các thành phần của gói tin"}
}

func textBadUnknown() text {
	return text{"an unknown element needs a name that the standard does not have, and a text of its kind", "phần tử ngoài chuẩn phải có tên không thuộc chuẩn và nội dung đúng kiểu"}
}

func textStamp() text {
	return text{"is not a valid time", "không phải thời điểm hợp lệ"}
}

func textASCII() text {
	return text{"encoding us-ascii is declared, but here is a character beyond ASCII; declare UTF-8", "khai báo mã hóa us-ascii nhưng tại đây có ký tự ngoài ASCII; hãy khai báo UTF-8"}
}

func textNothing() text {
	return text{"is not a known packet: it is empty", "không phải loại gói tin được hỗ trợ: nội dung rỗng"}
}

func textNoDay() text {
	return text{"there is no such day or time", "không có ngày hoặc giờ này"}
}

// textLate is what is said of an XML declaration that does not come first.
func textLate() text {
	return text{"the XML declaration must stand at the very start; something stands before it", "khai báo XML phải ở ngay đầu; có nội dung đứng trước nó"}
}

func textNeither() text {
	return text{"is not a known packet: neither XML nor JSON", "không phải loại gói tin được hỗ trợ: không phải XML cũng không phải JSON"}
}

// textUnknownRoot names the packets there are; closest is empty where none is
// close.
func textUnknownRoot(name, known, closest string) text {
	t := text{fmt.Sprintf("root element %q is not a known packet; known are %s", cut(name), known),
		fmt.Sprintf("phần tử gốc %q không phải loại gói tin được hỗ trợ; các loại được hỗ trợ: %s", cut(name), known)}
	if closest != "" {
		t.en += "; closest is " + closest
		t.vi += "; gần giống nhất là " + closest
	}
	return t
}

func textUnknownMembers(known string) text {
	return text{"is not a known packet: its members fit no packet, or several alike; known are " + known,
		"không phải loại gói tin được hỗ trợ: các thành phần của đối tượng không khớp gói tin nào, hoặc khớp nhiều gói tin như nhau; các loại được hỗ trợ: " + known}
}

// textMore counts what is not shown.
func textMore(violations, warnings int) text {
	switch {
	case warnings == 0:
		return text{fmt.Sprintf("%d more violations are not shown", violations), fmt.Sprintf("còn %d lỗi khác không hiển thị", violations)}
	case violations == 0:
		return text{fmt.Sprintf("%d more warnings are not shown", warnings), fmt.Sprintf("còn %d cảnh báo khác không hiển thị", warnings)}
	default:
		return text{fmt.Sprintf("%d more violations and %d more warnings are not shown", violations, warnings),
			fmt.Sprintf("còn %d lỗi và %d cảnh báo khác không hiển thị", violations, warnings)}
	}
}
