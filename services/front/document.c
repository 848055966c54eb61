// document.c - a table of what front serves itself.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/document.h"

#include "services/front/table.h"

static const struct document documents[] = {
    {"/openapi.json", "application/json", NULL, rest_openapi_json, &rest_openapi_size},
    {"/docs", "text/html; charset=utf-8", NULL, document_page, &document_page_size},
    {"/docs/redoc.js", "text/javascript", "gzip", document_script, &document_script_size},
};

const struct document *
document_find(struct sl_str path)
{
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        if (sl_str_equal(path, sl_str(documents[i].path)) && *documents[i].size > 0) {
            return &documents[i];
        }
    }
    return NULL;
}
