#!/bin/sh
# Asks a service once whether it is well:  probe http URL SECONDS
# Exit status: 0 the answer is 2xx or 3xx; 1 it is another one, or there is none (stderr says which);
# 2 wrong usage; 3 this machine has no program to ask with.
# It runs as the service's user. Redirects are not followed and no proxy is asked.
set -u
unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY

usage() {
    echo 'usage: probe http URL SECONDS' >&2
    exit 2
}

have() { # PROGRAM
    command -v "$1" >/dev/null 2>&1
}

bad() { # SENTENCE
    printf '%s: %s\n' "$url" "$1" >&2
    exit 1
}

judge() { # STATUS-CODE
    case $1 in
        [23][0-9][0-9]) exit 0 ;;
        [0-9][0-9][0-9]) bad "answered with status $1" ;;
        *) bad "answered, but not in HTTP" ;;
    esac
}

[ "$#,${1-}" = 3,http ] || usage
url=$2
seconds=$3
case $seconds in
    '' | *[!0-9]* | ??????* | 0) usage ;;
esac
case $url in
    *[!!-~]*) usage ;; # a blank or control character would end the request line
    http://?*) ;;
    *) usage ;;
esac

# http://HOST[:PORT][/PATH], HOST a name, an IPv4 address or an IPv6 address in brackets
address=${url#http://}
case $address in
    */*) path=/${address#*/} ;;
    *) path=/ ;;
esac
address=${address%%/*}
case $address in
    \[*\]) host=${address#\[} host=${host%\]} port=80 ;;
    \[*\]:*) host=${address#\[} host=${host%%\]*} port=${address##*:} ;;
    *:*:*) usage ;;
    *:*) host=${address%:*} port=${address##*:} ;;
    *) host=$address port=80 ;;
esac
[ -n "$host" ] || usage
case $port in
    '' | *[!0-9]* | ??????*) usage ;;
esac

# Isolated, without site: no .pth file and no sitecustomize has a say, and it starts in a few milliseconds.
ask_python() {
    exec "$python" -I -S -B -c '
import socket, sys
url, host, port, path, address, seconds = sys.argv[1:]
def bad(reason):
    sys.exit(f"{url}: {reason}")
try:
    with socket.create_connection((host, int(port)), float(seconds)) as link:
        link.sendall(f"GET {path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: probe\r\n\r\n".encode())
        line = link.makefile("rb").readline(1000).split()
except TimeoutError:
    bad(f"no answer within {seconds} s")
except (OSError, OverflowError) as error:
    bad(getattr(error, "strerror", None) or error)
if len(line) < 2 or not line[0].startswith(b"HTTP/") or not line[1].isdigit():
    bad("answered, but not in HTTP" if line else "hung up without an answer")
if line[1][:1] not in (b"2", b"3"):
    bad(f"answered with status {line[1].decode()}")
' "$url" "$host" "$port" "$path" "$address" "$seconds"
}

ask_curl() {
    # -q: no .curlrc; -g: the address is taken as it stands
    code=$(curl -q -g -s -o /dev/null --noproxy '*' --max-time "$seconds" -w '%{http_code}' "$url")
    status=$?
    case $status in
        0) judge "$code" ;;
        6) bad "the host's name cannot be resolved" ;;
        7) bad "connection refused" ;;
        28) bad "no answer within $seconds s" ;;
        52) bad "hung up without an answer" ;;
        *) bad "no good answer (curl's status $status)" ;;
    esac
}

# GNU wget and busybox wget have few options in common (busybox 1.35 crashes with -T). With -S both print the
# answer's head (GNU's not with -q); the first line of it counts, for redirects are followed.
ask_wget() {
    head=$(exec 2>&1; HOME=/ no_proxy=$host timeout "$seconds" wget -S -O /dev/null "$url")
    status=$?
    code=$(printf '%s\n' "$head" | sed -n 's/^ *HTTP\/[0-9.]* \([0-9]\{3\}\).*$/\1/p' | sed -n 1p)
    [ -z "$code" ] || judge "$code"
    case $status,$head in
        124,* | 143,* | *timed\ out*) bad "no answer within $seconds s" ;;
        *refused*) bad "connection refused" ;;
        12[67],* | 13?,*) return 0 ;; # it does not run: a static busybox may crash in the resolver of another libc
        *) bad "no good answer (wget's status $status)" ;;
    esac
}

ask_bash() {
    # shellcheck disable=SC2016 # bash's own variables
    code=$(timeout "$seconds" bash --norc -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 7
        printf "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: probe\r\n\r\n" "$3" "$4" >&3
        read -r version code _ <&3 || exit 52
        case $version in HTTP/*) printf "%.3s" "$code" ;; esac
    ' bash "$host" "$port" "$path" "$address" 2>/dev/null)
    case $? in
        0) judge "$code" ;;
        124 | 143) bad "no answer within $seconds s" ;;
        52) bad "hung up without an answer" ;;
        *) bad "connection refused" ;;
    esac
}

python=${0%/*}/../env/bin/python

can() { # python|curl|wget|bash
    case $1 in
        python) [ -x "$python" ] ;;
        wget | bash) have "$1" && have timeout ;;
        *) have "$1" ;;
    esac
}

for way in ${PROBE_WITH:-python curl wget bash}; do
    can "$way" || continue
    case $way in
        python) ask_python ;;
        curl) ask_curl ;;
        wget) ask_wget ;;
        bash) ask_bash ;;
    esac
done
echo "no program to ask $url with: curl, or timeout and one of wget and bash, is needed" >&2
exit 3
