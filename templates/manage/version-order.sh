
# --- the order of versions -------------------------------------------------------------------------------
# Versions are compared part by part: runs of digits as numbers, runs of letters as words; what is between them does not
# count. The words dev, a or alpha, b or beta, c, rc, pre or preview, and all after a ~, come before the version itself, in
# this order; any other word comes after it, and a number after that. So 1.0.dev3 < 1.0a1 < 1.0rc1 < 1.0 = 1.0.0 <
# 1.0.post1 < 1.0.1 < 1.10.

version_order() { # NEW OLD: prints older, same or newer
    order_left="$(version_parts "$1") "
    order_right="$(version_parts "$2") "
    order_said=same
    while [ "$order_said" = same ] && [ -n "${order_left# }${order_right# }" ]; do
        order_a=${order_left%% *}
        order_b=${order_right%% *}
        order_left=${order_left#"$order_a"}
        order_left=${order_left# }
        order_right=${order_right#"$order_b"}
        order_right=${order_right# }
        order_said=$(part_order "$order_a" "$order_b")
    done
    printf '%s\n' "$order_said"
}

# Without zeros at the beginning of numbers, and none that are zero before a word or the end.
version_parts() { # VERSION
    printf '%s\n' "$1" | tr '[:upper:]' '[:lower:]' | sed -e 's/[0-9]\{1,\}/ & /g' -e 's/~/ ~ /g' -e 's/[^0-9a-z~]/ /g' \
        -e 's/ \{1,\}/ /g' -e 's/^ //' -e 's/ $//' -e 's/^0\{1,\}\([0-9]\)/\1/' -e 's/ 0\{1,\}\([0-9]\)/ \1/g' \
        -e ':a' -e 's/\([^ ]\) 0\( [a-z~]\)/\1\2/' -e 'ta' -e 's/\([^ ]\) 0$/\1/' -e 'ta'
}

part_order() { # PART PART
    part_a=$(part_rank "$1")
    part_b=$(part_rank "$2")
    if [ "$part_a" -ne "$part_b" ]; then
        [ "$part_a" -gt "$part_b" ] && echo newer || echo older
    elif [ "$1" = "$2" ] || [ "$part_a" -lt 6 ]; then
        echo same
    elif [ "$part_a" -eq 7 ] && [ "${#1}" -ne "${#2}" ]; then
        [ "${#1}" -gt "${#2}" ] && echo newer || echo older
    elif [ "$(printf '%s\n%s\n' "$1" "$2" | sort | sed -n 1p)" = "$1" ]; then
        echo older
    else
        echo newer
    fi
}

part_rank() { # PART: empty is the end of a version
    case $1 in
        '') echo 5 ;;
        '~') echo 0 ;;
        dev) echo 1 ;;
        a | alpha) echo 2 ;;
        b | beta) echo 3 ;;
        c | rc | pre | preview) echo 4 ;;
        [0-9]*) echo 7 ;;
        *) echo 6 ;;
    esac
}
