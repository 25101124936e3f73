package packet

// liberty is what is said of a value that is not as the standard says: where it
// was read all the same, and where it is refused for that.
type liberty struct{ taken, refused text }

// say picks what is said of a liberty.
func (r *reading) say(l liberty) text {
	if r.options.Strict {
		return l.refused
	}
	return l.taken
}

func textAlias(official string) liberty {
	return liberty{
		text{"is another spelling of " + official, "là cách viết khác của " + official},
		mustBeWritten(official),
	}
}

func mustBeWritten(right string) text {
	return text{"must be written " + right, "phải viết là " + right}
}

func textCase(official string) liberty {
	return liberty{
		text{"differs from " + official + " in capital letters", "khác " + official + " về chữ hoa, chữ thường"},
		mustBeWritten(official),
	}
}

func textUnknown(parent string) liberty {
	t := text{"is not an element of " + parent, "không phải phần tử của " + parent}
	return liberty{text{t.en + "; it is kept and handed on", t.vi + "; được giữ nguyên và chuyển tiếp"}, t}
}

// textNear is textUnknown where a name is close that the standard does have.
func textNear(parent, closest string) liberty {
	t := textUnknown(parent)
	return liberty{
		text{t.taken.en + "; closest is " + closest, t.taken.vi + "; gần giống nhất là " + closest},
		text{t.refused.en + "; closest is " + closest, t.refused.vi + "; gần giống nhất là " + closest},
	}
}

// textWrapped is textUnknown for an item of a list that is wrapped in an element of
// its own, as some libraries write lists.
func textWrapped(item, list string) liberty {
	t := text{"lists are written without a wrapper: " + list + " is repeated for each " + item + ", and holds its elements",
		"danh sách được viết không có phần tử bao ngoài: lặp lại " + list + " cho từng " + item + ", bên trong là các phần tử của nó"}
	return liberty{text{t.en + "; it is kept and handed on", t.vi + "; được giữ nguyên và chuyển tiếp"}, t}
}

// textBlank says of a text that has to say something that it says nothing.
func textBlank() liberty {
	return liberty{
		text{"holds nothing but white space", "chỉ có khoảng trắng"},
		text{"must hold more than white space", "không được chỉ có khoảng trắng"},
	}
}

func textIgnored(parent string) liberty {
	t := textUnknown(parent).refused
	return liberty{text{t.en + "; it is ignored", t.vi + "; bị bỏ qua"}, t}
}

// textSpelling says how values of a field are rightly spelt.
func textSpelling(f *field) liberty {
	t := textType(f)
	return liberty{
		text{"was understood, but is not spelt as the standard says: " + t.en, "đã hiểu được, nhưng không viết đúng quy định: " + t.vi},
		text{"is not spelt as the standard says: " + t.en, "không viết đúng quy định: " + t.vi},
	}
}

func textNamespace(name string) liberty {
	t := text{"the standard has no namespaces", "chuẩn không dùng không gian tên"}
	return liberty{
		text{t.en + "; the declaration " + name + " is ignored", t.vi + "; khai báo " + name + " bị bỏ qua"},
		text{t.en + "; leave out " + name, t.vi + "; hãy bỏ khai báo " + name},
	}
}

func textAttribute(name string) liberty {
	t := text{"the standard has no attributes", "chuẩn không dùng thuộc tính"}
	return liberty{
		text{t.en + "; " + name + " is ignored", t.vi + "; " + name + " bị bỏ qua"},
		text{t.en + "; leave out " + name, t.vi + "; hãy bỏ " + name},
	}
}

func textPrefix() liberty {
	t := text{"the standard has no prefixes", "chuẩn không dùng tiền tố"}
	return liberty{
		text{t.en + "; the name after the colon was read", t.vi + "; đã đọc phần tên sau dấu hai chấm"},
		text{t.en + "; names must be written without", t.vi + "; tên phải viết không có tiền tố"},
	}
}

func textOrder(last string) liberty {
	return liberty{
		text{"stands after " + last + ", which the standard puts behind it", "đứng sau " + last + ", trong khi chuẩn quy định đứng trước"},
		text{"must stand before " + last, "phải đứng trước " + last},
	}
}

func textNone() liberty {
	return liberty{
		text{"is empty; it was read as none", "rỗng; được hiểu là không có"},
		text{"must hold its elements, or be left out", "phải có các phần tử bên trong, nếu không có thì bỏ hẳn"},
	}
}

// textAbsent says of a value that there is none, and how that is rightly written.
func textAbsent(f *field) liberty {
	right := text{"must hold a value, or be left out", "phải có giá trị, nếu không có thì bỏ hẳn"}
	switch {
	case f.Nullable:
		right = text{"must be empty where there is no date", "phải để trống khi chưa có ngày"}
	case f.Required && f.kind == kindText:
		right = text{"must be a text, which may be empty", "phải là văn bản, có thể rỗng"}
	case f.Required:
		right = textType(f)
	}
	return liberty{text{"holds no value; it was read as absent", "không có giá trị; được hiểu là không có"}, right}
}

// textUnset says of a date that it is the one of a program that has set none.
func textUnset(f *field) liberty {
	t, right := text{"0001-01-01 is an unset date", "0001-01-01 là ngày chưa được gán"}, textAbsent(f).refused
	return liberty{
		text{t.en + "; it was read as absent", t.vi + "; được hiểu là không có"},
		text{t.en + "; " + right.en, t.vi + "; " + right.vi},
	}
}

func textSpace() liberty {
	return liberty{
		text{"has white space around the value", "có khoảng trắng thừa quanh giá trị"},
		text{"must have no white space around the value", "không được có khoảng trắng quanh giá trị"},
	}
}

// textDatetimes says what is read for a date.
func textDatetimes() liberty {
	t := textDatetime()
	return liberty{
		text{t.en + " (also read: without offset, 2018-10-23, 2018-10-23 09:15:00, 20181023091500, 23/10/2018, 23/10/2018 09:15, 23/10/2018 09:15:00)",
			t.vi + " (cũng đọc được: không có múi giờ, 2018-10-23, 2018-10-23 09:15:00, 20181023091500, 23/10/2018, 23/10/2018 09:15, 23/10/2018 09:15:00)"},
		t,
	}
}

func textSingle() liberty {
	return liberty{
		text{"an array is expected; the single value was read as one item", "phải là mảng; giá trị đơn được hiểu là mảng có một phần tử"},
		text{"an array is expected, also for a single value", "phải là mảng, kể cả khi chỉ có một giá trị"},
	}
}

func textWire() liberty {
	t := text{"holds Protobuf fields that this version does not know", "có trường Protobuf mà phiên bản này không biết"}
	return liberty{
		text{t.en + "; they are kept in Protobuf and cannot be written in XML or JSON", t.vi + "; được giữ trong Protobuf và không ghi được ra XML hay JSON"},
		t,
	}
}

func textMillis() liberty {
	return liberty{
		text{"is cut to milliseconds", "được cắt đến mili giây"},
		text{"must not be finer than milliseconds", "không được chi tiết hơn mili giây"},
	}
}

func textMisspelt() liberty {
	return liberty{
		text{"the encoding was read as UTF-8, and is so written", "mã hóa được hiểu là UTF-8 và phải viết như vậy"},
		text{"the encoding must be written UTF-8", "mã hóa phải viết là UTF-8"},
	}
}

func textUnquoted(right string) text {
	return text{"must be written " + right + ", without quotation marks", "phải viết là " + right + ", không đặt trong dấu ngoặc kép"}
}

func textQuoted() text {
	return text{"must be a JSON string, in quotation marks", "phải là chuỗi JSON, đặt trong dấu ngoặc kép"}
}
