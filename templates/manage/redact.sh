
# --- redact ----------------------------------------------------------------------------------------------
# Removes secrets from text that leaves this machine, rather too much than too little:
#     by value   the values of secrets, credentials, settings and environments, plain, quoted, in hex, base64, URLs, JSON
#                and HTML. Only letters and digits are compared, in lower case, over many lines at once, so that values
#                are also found if they are quoted, escaped or split over lines
#     by form    what follows a name such as PASSWORD or Authorization, user and password in a URL, private keys, tokens,
#                long words that look random
# The values are passed to awk in a file, not in its arguments: lines of KIND NAME VALUE, the value in hex. KINDS:
#     secret     always hidden
#     setting    hidden, unless its name and its value are harmless
#     variable   hidden if its name suggests a secret
#     words      what systemctl show has as Environment=: settings, quoted

# shellcheck disable=SC1003,SC2016 # it is a program of awk's
REDACT='
    BEGIN {
        HEX = "0123456789abcdef"
        BASE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        QUOTES = "\"\047"
        for (i = 1; i < 256; i++)
            BYTE[sprintf("%c", i)] = i
        NAMES = "((pass|pwd|secret|token|cred|auth|cookie|dsn|jwt|salt|session|bearer|signature|connection)[a-z0-9_.-]*" \
            "|keys?([_.-][a-z0-9_.-]*)?|(^|[^a-z])(pw|sig|pin|otp))"
        SAID = NAMES "[]" QUOTES "\\\\ \t]*(=>|->|:=|=|:)[ \t]*"
        OPTION = "--[a-z0-9-]*" NAMES "[ \t]+"
        TOLD = "((password|passwd|passphrase|secret|token|credential)[^=:" QUOTES "]*[=:" QUOTES "]" \
            "|(pass[a-z]*|secret|token|cookie|key|credentials?)[ \t]+(is|was|are)[ \t]|identified by[ \t])"
        BEARER = "(bearer|basic|digest|negotiate)[ \t]+[a-z0-9+/=._~-][a-z0-9+/=._~-][a-z0-9+/=._~-][a-z0-9+/=._~-]+"
        split("on off yes no true false none null auto debug info notice warning warn error critical", list, " ")
        for (i in list)
            HARMLESS[list[i]]
        POWER[0] = 1 # ^ is not in every busybox
        for (i = 1; i <= 8; i++)
            POWER[i] = 2 * POWER[i - 1]
        first = 1
    }

    phase == "values" { know($1, $2, unhex($3)); next }
    { take($0) }
    END { search(1) }

    # --- the values that are known

    function know(kind, name, value) {
        if (kind == "words")
            know_words(value)
        else if (show)
            print name "=" (is_sensitive(name) || !is_harmless(value) ? "***" : value)
        else if (kind == "secret" || is_sensitive(name))
            hide_value(value)
        else if (kind == "setting" && length(value) > 7 && !is_harmless(value)) # a short one would hide other words
            hide_value(value)
    }

    function know_words(text,   i, c, word, quote) {
        text = text " "
        for (i = 1; i <= length(text); i++) {
            c = substr(text, i, 1)
            if (c == "\\" && quote != "\047") {
                i++
                word = word substr(text, i, 1)
            } else if (quote == "" && index(QUOTES, c)) {
                quote = c
            } else if (c == quote) {
                quote = ""
            } else if (quote != "" || c != " ") {
                word = word c
            } else {
                if (index(word, "="))
                    know("setting", substr(word, 1, index(word, "=") - 1), substr(word, index(word, "=") + 1))
                word = ""
            }
        }
    }

    function is_sensitive(name) {
        return tolower(name) ~ NAMES
    }

    function is_harmless(value) {
        if (length(value) < 4 || value == own || tolower(value) in HARMLESS)
            return 1
        if (value ~ /^[0-9]+(\.[0-9]+)?[a-zA-Z]?[a-zA-Z]?$/)
            return length(value) < 9
        if (value ~ /^[0-9.]+(:[0-9]+)?$/ || value ~ /^[a-z.-]+:[0-9]+$/)
            return 1
        return value ~ /^([a-z]+:\/)?\/[^@?#]*$/ && without_words(value) == value
    }

    function hide_value(value,   lines, count, i) {
        hide_forms(value)
        if (match(value, /:\/\/[^\/]*@/) || match(value, /:\/\/[^ ]*@/))
            hide_user(substr(value, RSTART + 3, RLENGTH - 4))
        count = split(value, lines, "\n")
        for (i = 1; count > 1 && i <= count; i++)
            if (length(lines[i]) >= 8)
                hide_forms(lines[i])
    }

    function hide_user(user,   at) {
        at = index(user, ":")
        user = substr(user, at + 1)
        hide_forms(user)
        hide_forms(decoded(user))
    }

    function hide_forms(value,   i) {
        if (length(value) < 4)
            return
        if (!hide_form(value))
            SHORT[value]
        hide_form(encoded(value, "^$", ""))
        hide_form(encoded(value, "[A-Za-z0-9]", ""))
        hide_form(encoded(value, "[A-Za-z0-9_.~-]", ""))
        hide_form(encoded(value, "[ A-Za-z0-9_.~-]", ""))
        hide_form(encoded(value, "[A-Za-z0-9_.~-]", "25"))
        hide_form(encoded(value, "[A-Za-z0-9/_.~-]", ""))
        hide_form(encoded(value, "[A-Za-z0-9!*()\047_.~-]", ""))
        hide_form(encoded(value, "[A-Za-z0-9:_.]", "x"))
        hide_form(encoded(value, "[ -~]", "x"))
        hide_form(encoded(value, "[^<>&\047]", "u00"))
        hide_form(encoded(unicode(value), "[^<>&]", "u00"))
        hide_form(unicode(value))
        hide_form(html(value))
        for (i = 0; i < 3; i++)
            hide_form(base64(value, i))
    }

    # Says whether it is long enough to be found again.
    function hide_form(form) {
        form = plain(form)
        if (length(form) < 6)
            return 0
        FORMS[form]
        if (length(form) > longest)
            longest = length(form)
        return 1
    }

    function plain(text) {
        text = tolower(text)
        gsub(/[^a-z0-9]/, "", text)
        return text
    }

    # --- their forms

    function unhex(text,   i, value) {
        for (i = 1; i < length(text); i += 2)
            value = value sprintf("%c", byte_at(text, i))
        return value
    }

    function byte_at(text, i) {
        return 16 * index(HEX, tolower(substr(text, i, 1))) + index(HEX, tolower(substr(text, i + 1, 1))) - 17
    }

    function decoded(text,   value) {
        while (match(text, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
            value = value substr(text, 1, RSTART - 1) sprintf("%c", byte_at(text, RSTART + 1))
            text = substr(text, RSTART + 3)
        }
        return value text
    }

    # Each byte but those to keep as two hexadecimal digits.
    function encoded(value, keep, before,   i, c, text) {
        for (i = 1; i <= length(value); i++) {
            c = substr(value, i, 1)
            text = text (c ~ keep ? c : before sprintf("%02x", BYTE[c]))
        }
        return text
    }

    # What JSON makes of it: ASCII alone, \n and \t for themselves, UTF-16 for all else.
    function unicode(value,   i, c, byte, point, more, text) {
        for (i = 1; i <= length(value); i++) {
            c = substr(value, i, 1)
            byte = BYTE[c]
            if (byte < 128) {
                text = text (c == "\n" ? "n" : c == "\t" ? "t" : c == "\r" ? "r" : c)
                continue
            }
            more = byte >= 240 ? 3 : byte >= 224 ? 2 : byte >= 192 ? 1 : 0
            point = byte % POWER[more ? 6 - more : 8]
            for (; more; more--)
                point = point * 64 + BYTE[substr(value, ++i, 1)] % 64
            if (point < 65536)
                text = text sprintf("u%04x", point)
            else
                text = text sprintf("u%04xu%04x", 55296 + int((point - 65536) / 1024), 56320 + point % 1024)
        }
        return text
    }

    function html(value) {
        gsub(/&/, "\\&amp;", value)
        gsub(/</, "\\&lt;", value)
        gsub(/>/, "\\&gt;", value)
        gsub(/"/, "\\&quot;", value)
        gsub(/\047/, "\\&#x27;", value)
        return value
    }

    # As it is in there behind so many other bytes: the characters that are of its bits alone.
    function base64(value, before,   i, bits, left, text) {
        bits = before * 8 % 6 ? 6 - before * 8 % 6 : 0
        left = 0
        i = 1
        if (bits) { # the first bits belong to a character that is not its own
            left = BYTE[substr(value, 1, 1)] % POWER[8 - bits]
            bits = 8 - bits
            i = 2
        }
        for (; i <= length(value); i++) {
            left = left * 256 + BYTE[substr(value, i, 1)]
            bits += 8
            while (bits >= 6) {
                bits -= 6
                text = text substr(BASE, int(left / POWER[bits]) + 1, 1)
                left %= POWER[bits]
            }
        }
        return text
    }

    # --- the text: so many lines at a time that the longest form is found

    function take(line,   prefix) {
        # what the journal puts before each line
        prefix = match(line, /^[0-9][0-9][0-9][0-9]-[0-9-]*T[0-9:.,Z+-]* [^ ]+ [^ ]+: /) ? RLENGTH : 0
        LINE[++last] = line
        PREFIX[last] = prefix
        PLAIN[last] = plain(substr(line, prefix + 1))
        size += length(PLAIN[last]) + 1
        if (size > 20000 + 2 * longest)
            search(0)
    }

    function search(all,   i, text, form, at, found) {
        for (i = first; i <= last; i++) {
            START[i] = length(text) + 1
            text = text PLAIN[i]
        }
        for (form in FORMS)
            for (at = 0; (found = index(substr(text, at + 1), form)); at += found - 1 + length(form))
                hide(at + found, at + found + length(form) - 1)
        for (size = 0; first <= last && (all || START[first] + length(PLAIN[first]) <= length(text) - longest); first++)
            give()
        for (i = first; i <= last; i++)
            size += length(PLAIN[i]) + 1
    }

    function hide(from, to,   low, high, middle) {
        low = first
        high = last
        while (low < high) {
            middle = int((low + high + 1) / 2)
            if (START[middle] <= from)
                low = middle
            else
                high = middle - 1
        }
        for (; low <= last && START[low] <= to; low++)
            HIDDEN[low] = HIDDEN[low] " " (from - START[low] + 1) " " (to - START[low] + 1)
    }

    function give(   line) {
        line = LINE[first]
        if (first in HIDDEN)
            line = substr(line, 1, PREFIX[first]) without_hidden(substr(line, PREFIX[first] + 1), HIDDEN[first])
        print without_forms(without_short(line))
        delete LINE[first]
        delete PLAIN[first]
        delete HIDDEN[first]
        delete START[first]
        delete PREFIX[first]
    }

    function without_hidden(line, ranges,   count, range, marks, i, j, c, counts, seen, text) {
        count = split(ranges, range, " ")
        for (i = 1; i < count; i += 2)
            for (j = range[i] < 1 ? 1 : range[i]; j <= range[i + 1] && j <= length(line); j++)
                marks[j]
        for (i = 1; i <= length(line); i++) {
            c = substr(line, i, 1)
            seen += counts = c ~ /[A-Za-z0-9]/
            if (!(seen in marks) || (!counts && !(seen + 1 in marks)))
                text = text c
            else if (counts && !(seen - 1 in marks))
                text = text "***"
        }
        return text
    }

    function without_short(line,   value, at, text) {
        for (value in SHORT) {
            for (text = ""; (at = index(line, value)); line = substr(line, at + length(value)))
                text = text substr(line, 1, at - 1) "***"
            line = text line
        }
        return line
    }

    # --- what looks like a secret

    function without_forms(line) {
        if (key_open || next_hidden) {
            key_open = key_open && !index(line, "-----END")
            next_hidden = 0
            return "***"
        }
        if (match(line, /-----BEGIN [A-Z0-9 ]*PRIVATE KEY/)) {
            key_open = !index(substr(line, RSTART), "-----END")
            line = substr(line, 1, RSTART - 1) "***"
        }
        gsub(/:\/\/[^ \t"\047<>]*@/, "://***@", line)
        gsub(/[^ \t"\047:@\/=(]+:[^ \t"\047@\/]+@/, "***@", line)
        gsub(/eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9._-]*/, "***", line)
        return without_words(without_bearer(without_rest(without_rest(without_named(line), OPTION), TOLD)))
    }

    function without_named(line,   text, rest) {
        while (match(tolower(line), SAID)) {
            text = text substr(line, 1, RSTART + RLENGTH - 1)
            rest = substr(line, RSTART + RLENGTH)
            if (rest == "") {
                next_hidden = 1
                return text
            }
            if (!match(rest, /^"([^"\\]|\\.)*"([],;}) ]|$)/) && !match(rest, /^\047[^\047\\]*\047([],;}) ]|$)/))
                return text "***"
            text = text "***"
            line = substr(rest, RLENGTH + 1)
        }
        return text line
    }

    function without_rest(line, before) {
        return match(tolower(line), before) ? substr(line, 1, RSTART + RLENGTH - 1) "***" : line
    }

    function without_bearer(line) {
        while (match(tolower(line), BEARER))
            line = substr(line, 1, RSTART - 1) "***" substr(line, RSTART + RLENGTH)
        return line
    }

    function without_words(line,   text, word) {
        while (match(line, "[A-Za-z0-9+/=_-]+")) {
            word = substr(line, RSTART, RLENGTH)
            text = text substr(line, 1, RSTART - 1) (is_random(word) ? "***" : word)
            line = substr(line, RSTART + RLENGTH)
        }
        return text line
    }

    function is_random(word,   runs, count, i) {
        if (length(word) < 18 || word !~ /[0-9]/ || word !~ /[A-Za-z]/)
            return 0
        if (length(word) >= 20 && word !~ /^\// && word ~ /[A-Z]/ && word ~ /[a-z]/)
            return 1
        count = split(word, runs, "[^A-Za-z0-9]+")
        for (i = 1; i <= count; i++)
            if (length(runs[i]) >= 18 && runs[i] ~ /[0-9]/ && runs[i] ~ /[A-Za-z]/)
                return 1
        return 0
    }
'

# Copies stdin to stdout; the values are in $WORK/values.
redacted() {
    tr -d '\000' | awk -v "own=$NAME" "$REDACT" phase=values "$WORK/values" phase=text -
}

# NAME=VALUE a line for each setting of a file like that, hidden where it is not known to be harmless.
shown_settings() { # FILE
    awk -v "own=$NAME" -v show=yes "$REDACT" phase=values "$1"
}

value_line() { # KIND NAME VALUE
    printf '%s %s %s\n' "$1" "$2" "$(printf '%s' "$3" | in_hex)"
}

in_hex() {
    od -An -v -tx1 | tr -d ' \n'
}
