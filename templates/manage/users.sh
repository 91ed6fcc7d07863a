
# --- users of single services, by our record

each_own_user() { # FUNCTION
    for each_user in $(recorded_users); do
        "$1" "$each_user" ""
    done
}
