#!/bin/sh
# Asks a service once whether it is well:
#     probe http URL SECONDS [STATUSES [BODY]]    STATUSES like 200,204, or - for every 2xx and 3xx; BODY must be in it
#     probe tcp HOST:PORT SECONDS
# URL may be unix:PATH[:/URL-PATH], and HOST:PORT unix:PATH: a Unix socket. For these there are Python, curl and erl.
# Exit status: 0 the answer is good; 1 it is another one, or there is none (stderr says which);
# 2 wrong usage; 3 this machine has no program to ask with.
# It runs as the service's user. Redirects are not followed and no proxy is asked. Of a body the first MiB counts.
set -u
LC_ALL=C
export LC_ALL
unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY

usage() {
    echo 'usage: probe http URL SECONDS [STATUSES [BODY]] | probe tcp HOST:PORT SECONDS' >&2
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
        [0-9][0-9][0-9]) ;;
        *) bad "answered, but not in HTTP" ;;
    esac
    case $statuses,$1 in
        -,[23]??) ;;
        *)
            case ,$statuses, in
                *,"$1",*) ;;
                *) bad "answered with status $1" ;;
            esac
            ;;
    esac
}

judge_body() { # FOUND: anything, or nothing
    [ -z "$body" ] || [ -n "$1" ] || bad "answered without '$body'"
}

kind=${1-}
url=${2-}
seconds=${3-}
statuses=${4:--}
body=${5-}
case $kind,$# in
    http,[345] | tcp,3) ;;
    *) usage ;;
esac
case $statuses in
    *[!0-9,-]*) usage ;;
esac
case $seconds in
    '' | *[!0-9]* | ??????* | 0) usage ;;
esac
case $kind,$url in
    *[!!-~]*) usage ;; # a blank or control character would end the request line
    http,http://?*) ;;
    http,unix:/?*) ;;
    tcp,unix:/*:*) usage ;;
    tcp,unix:/?*) ;;
    tcp,*/*) usage ;;
    tcp,*:*) ;;
    *) usage ;;
esac

# [http://]HOST[:PORT][/PATH], HOST a name, an IPv4 address or an IPv6 address in brackets
socket=
case $url in
    unix:*)
        socket=${url#unix:}
        address=localhost
        case $socket in
            *:*) address=localhost${socket#*:} ;;
        esac
        socket=${socket%%:*}
        ;;
    *) address=${url#http://} ;;
esac
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
kind, url, host, port, path, address, seconds, statuses, body, unix = sys.argv[1:]
def bad(reason):
    sys.exit(f"{url}: {reason}")
def connect():
    if not unix:
        return socket.create_connection((host, int(port)), float(seconds))
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(float(seconds))
    link.connect(unix)
    return link
line, found = [], not body
try:
    with connect() as link:
        if kind == "tcp":
            sys.exit(0)
        link.sendall(f"GET {path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: probe\r\n\r\n".encode())
        answer = link.makefile("rb")
        line = answer.readline(1000).split()
        if body:
            while answer.readline(65536) not in (b"\r\n", b"\n", b""):
                pass
            found = body.encode(errors="surrogateescape") in answer.read(1 << 20)
except TimeoutError:
    bad(f"no answer within {seconds} s")
except BlockingIOError:
    bad("too many connections wait already")
except (OSError, OverflowError) as error:
    bad(getattr(error, "strerror", None) or error)
if len(line) < 2 or not line[0].startswith(b"HTTP/") or not line[1].isdigit():
    bad("answered, but not in HTTP" if line else "hung up without an answer")
status = line[1].decode()
if status[0] not in "23" if statuses == "-" else status not in statuses.split(","):
    bad(f"answered with status {status}")
if not found:
    bad(f"answered without {body!r}")
' "$kind" "$url" "$host" "$port" "$path" "$address" "$seconds" "$statuses" "$body" "$socket"
}

# Reads an answer's body to its end, for whoever sends it is not to fail.
look_for_body() {
    head -c 1048576 | grep -qF -e "$body" && printf '\nFOUND\n'
    cat >/dev/null
}

ask_curl() {
    set -- "$url"
    [ -z "$socket" ] || set -- --unix-socket "$socket" "http://localhost$path"
    if [ "$kind" = tcp ]; then # what becomes of the request is of no interest
        connects=$(curl -q -s --max-time "$seconds" -o /dev/null -w '%{num_connects}' "$@")
        [ "$connects" = 1 ] || bad "connection refused"
        exit 0
    fi
    [ -n "$body" ] || set -- -o /dev/null "$@"
    # -q: no .curlrc; -g: the address is taken as it stands. The head comes on the answer's own descriptor.
    head=$(
        {
            {
                curl -q -g -s --noproxy '*' --max-time "$seconds" -D /proc/self/fd/3 "$@"
                printf "\nSTATUS %s\n" "$?" >&3
            } | if [ -n "$body" ]; then look_for_body >&3; else cat >/dev/null; fi
        } 3>&1
    )
    status=$(said STATUS)
    case $status in
        0)
            judge "$(code_of_head)"
            judge_body "$(printf '%s\n' "$head" | grep -x FOUND)"
            exit 0
            ;;
        6) bad "the host's name cannot be resolved" ;;
        7) bad "connection refused" ;;
        28) bad "no answer within $seconds s" ;;
        52) bad "hung up without an answer" ;;
        *) bad "no good answer (curl's status ${status:-unknown})" ;;
    esac
}

said() { # WORD: what stands behind it in what was noted
    printf '%s\n' "$head" | sed -n "s/^$1 //p" | tail -n 1
}

code_of_head() {
    printf '%s\n' "$head" | sed -n 's/^ *HTTP\/[0-9.]* \([0-9]\{3\}\).*$/\1/p' | sed -n 1p
}

# GNU wget and busybox wget have few options in common (busybox 1.35 crashes with -T). With -S both print the
# answer's head (GNU's not with -q); the first line of it counts, for redirects are followed.
ask_wget() {
    head=$(
        {
            {
                HOME=/ no_proxy=$host timeout "$seconds" wget -S -O - "$url" 2>&3
                printf "\nSTATUS %s\n" "$?" >&3
            } | if [ -n "$body" ]; then look_for_body >&3; else cat >/dev/null; fi
        } 3>&1
    )
    status=$(said STATUS)
    code=$(code_of_head)
    if [ -n "$code" ]; then
        judge "$code"
        judge_body "$(printf '%s\n' "$head" | grep -x FOUND)"
        exit 0
    fi
    case $status,$head in
        124,* | 143,* | *timed\ out*) bad "no answer within $seconds s" ;;
        *refused*) bad "connection refused" ;;
        12[67],* | 13?,*) return 0 ;; # it does not run: a static busybox may crash in the resolver of another libc
        *) bad "no good answer (wget's status $status)" ;;
    esac
}

ask_bash() {
    # shellcheck disable=SC2016 # bash's own variables
    head=$(timeout "$seconds" bash --norc -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 7
        [ "$5" = http ] || exit 0
        printf "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: probe\r\n\r\n" "$3" "$4" >&3
        read -r version code _ <&3 || exit 52
        case $version in HTTP/*) printf "CODE %.3s\n" "$code" ;; esac
        [ -n "$6" ] || exit 0
        while IFS= read -r line <&3; do
            case $line in "" | ?) break ;; esac # a carriage return alone
        done
        while IFS= read -r line <&3 || [ -n "$line" ]; do
            case $line in *"$6"*) echo "FOUND" && exit 0 ;; esac
        done
    ' bash "$host" "$port" "$path" "$address" "$kind" "$body" 2>/dev/null)
    case $?,$kind in
        0,tcp) exit 0 ;;
        0,http)
            judge "$(said CODE)"
            judge_body "$(printf '%s\n' "$head" | grep -x FOUND)"
            exit 0
            ;;
        124,* | 143,*) bad "no answer within $seconds s" ;;
        52,*) bad "hung up without an answer" ;;
        *) bad "connection refused" ;;
    esac
}

# The environment's own, which takes a second to start; nothing that the service sets for its own node is for this one.
ask_erl() {
    unset ERL_AFLAGS ERL_FLAGS ERL_ZFLAGS ERL_LIBS
    head=$("$erl" -noinput -boot start_clean +S 1:1 +SDio 1 -eval '
        [Kind, Host, Port, Path, Address, Seconds, Body, Unix] = init:get_plain_arguments(),
        Say = fun(Format, Words) -> io:put_chars([io_lib:format(Format, Words), $\n]), halt(0) end,
        Wait = 1000 * list_to_integer(Seconds),
        timer:apply_after(Wait, erlang, apply, [fun() -> Say("LATE 1", []) end, []]),
        {Family, Name, Number} = case inet:parse_address(Host) of
            _ when Unix =/= "" -> {local, {local, Unix}, 0};
            {ok, Numbers} when tuple_size(Numbers) =:= 8 -> {inet6, Numbers, list_to_integer(Port)};
            {ok, Numbers} -> {inet, Numbers, list_to_integer(Port)};
            _ -> {inet, Host, list_to_integer(Port)}
        end,
        Read = fun Read(Socket, Got) ->
            case Body =:= "" andalso binary:match(Got, <<"\n">>) =/= nomatch of
                true -> Got;
                false when byte_size(Got) > 1048576 -> Got;
                false -> case gen_tcp:recv(Socket, 0) of
                    {ok, More} -> Read(Socket, <<Got/binary, More/binary>>);
                    _ -> Got
                end
            end
        end,
        Judge = fun(<<>>) -> Say("EMPTY 1", []);
            (<<"HTTP/", _:3/binary, " ", Code:3/binary, Rest/binary>>) ->
                Inside = case binary:split(Rest, [<<"\r\n\r\n">>, <<"\n\n">>]) of [_, Found] -> Found; _ -> <<>> end,
                Want = unicode:characters_to_binary(Body),
                Is = Want =:= <<>> orelse binary:match(Inside, Want) =/= nomatch,
                Say("CODE ~s~nFOUND ~p", [Code, Is]);
            (_) -> Say("CODE 0", [])
        end,
        case gen_tcp:connect(Name, Number, [Family, binary, {active, false}], Wait) of
            {ok, Socket} when Kind =:= "http" ->
                ok = gen_tcp:send(Socket, ["GET ", Path, " HTTP/1.0\r\nHost: ", Address, "\r\nUser-Agent: probe\r\n\r\n"]),
                Judge(Read(Socket, <<>>));
            {ok, _} -> Say("CODE 1", []);
            {error, timeout} -> Say("LATE 1", []);
            {error, econnrefused} -> Say("REFUSED 1", []);
            {error, Reason} -> Say("REASON ~p", [Reason])
        end.
    ' -extra "$kind" "$host" "$port" "$path" "$address" "$seconds" "$body" "$socket" 2>/dev/null)
    case $head in
        LATE*) bad "no answer within $seconds s" ;;
        REFUSED*) bad "connection refused" ;;
        EMPTY*) bad "hung up without an answer" ;;
        REASON*) bad "$(said REASON)" ;;
        CODE*) ;;
        *) bad "no good answer (erl does not run)" ;;
    esac
    [ "$kind" = http ] || exit 0
    judge "$(said CODE)"
    judge_body "$(said FOUND | grep -x true)"
    exit 0
}

programs=${0%/*}/../env/bin
python=$programs/python
erl=$programs/erl

can() { # python|curl|wget|bash|erl
    case $1 in
        python) [ -x "$python" ] ;;
        erl) [ -x "$erl" ] ;;
        curl) { [ "$kind" = http ] || [ -n "$socket" ]; } && have curl ;;
        wget) [ "$kind" = http ] && [ -z "$socket" ] && have wget && have timeout ;;
        bash) [ -z "$socket" ] && have bash && have timeout ;;
    esac
}

for way in ${PROBE_WITH:-python curl wget bash erl}; do
    can "$way" || continue
    case $way in
        python) ask_python ;;
        curl) ask_curl ;;
        wget) ask_wget ;;
        bash) ask_bash ;;
        erl) ask_erl ;;
    esac
done
[ -z "$socket" ] || {
    echo "no HTTP client for $url: curl is required, or Python or Erlang in the environment" >&2
    exit 3
}
echo "no HTTP or TCP client for $url: bash and timeout are required (or, for http, curl or wget)" >&2
exit 3
