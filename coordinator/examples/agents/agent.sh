#!/bin/sh
# A long-lived agent in plain sh: answers each line of JSON with its own task.
# A task that is {"fail":"why"} fails; one that is {"steps":3} says after each step that it gets on.

while IFS= read -r line; do
    id=$(printf '%s' "$line" | sed 's/^{"id":"\([^"]*\)".*/\1/')
    # What is between `"task":` and the last `,"timeout_ms":` is the task, whatever it is.
    task=$(printf '%s' "$line" | sed 's/^[^[{]*{"id":"[^"]*","attempt":[0-9]*,"task"://; s/,"timeout_ms":[0-9]*}$//')
    case $task in
    '{"fail":"'*'"}')
        why=${task#'{"fail":"'}
        printf '{"id":"%s","ok":false,"error":"%s"}\n' "$id" "${why%'"}'}"
        continue
        ;;
    '{"steps":'[0-9]*'}')
        steps=${task#'{"steps":'}
        steps=${steps%'}'}
        step=0
        while [ "$step" -lt "$steps" ]; do
            step=$((step + 1))
            printf '{"id":"%s","progress":%d}\n' "$id" "$step"
        done
        ;;
    esac
    printf '{"id":"%s","ok":true,"result":%s}\n' "$id" "$task"
done
